"""Backbones that the weak losses train together with the branches: see docs/end-to-end.md."""
