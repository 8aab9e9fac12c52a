"""Temporal mAP and the protocols that published numbers follow."""
