"""What is sent to builders; nothing here is imported."""
