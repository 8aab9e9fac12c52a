"""Simulated two-modality features over a real annotation, for development and demonstration."""
