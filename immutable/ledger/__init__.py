"""The append-only record of intents and outcomes, and the stores that can hold it."""
