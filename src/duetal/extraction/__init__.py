"""From videos to features: the pipeline, the store it fills, and a cluster that runs it."""
