"""The files of a run's folder: one schema, written by training and evaluation, read by all."""
