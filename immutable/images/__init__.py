"""Recipes, and what is known about the images that they make."""
