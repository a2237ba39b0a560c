"""What instances say: streams of CloudWatch Logs, and consoles."""
