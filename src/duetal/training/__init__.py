"""The alternation of the two branches, and what it needs."""
