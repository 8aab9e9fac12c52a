"""Live video: features as they come, and detections as soon as their actions have ended."""
