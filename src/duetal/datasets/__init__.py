"""Features joined with annotations: what a layout on disk means, and what is wrong with it."""
