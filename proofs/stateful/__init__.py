"""The public calls against a simple model, by Hypothesis."""
