"""Images as EC2 keeps them: looking them up, sharing them, keeping them from deletion."""
