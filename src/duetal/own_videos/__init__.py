"""From raw videos to a data set to train on, and from raw videos to detections."""
