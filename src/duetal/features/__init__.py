"""Feature arrays on disk, memory-mapped."""
