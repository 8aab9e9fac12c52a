"""Simple methods to stand beside: label-only chance, and a linear per-snippet MIL classifier."""
