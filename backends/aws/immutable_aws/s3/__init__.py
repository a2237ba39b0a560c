"""The parts of the ledger on S3."""
