"""What is found out before a deployment: who, whether we may, and room."""
