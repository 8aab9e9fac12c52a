"""The value types that every other part of duetal speaks."""
