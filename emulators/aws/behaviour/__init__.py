"""What moto skips or gets wrong, one behaviour a function, each with its source."""
