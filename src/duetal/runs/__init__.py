"""A run's folder: what lies in it, and localizing and evaluating from it."""
