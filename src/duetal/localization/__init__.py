"""From scores per snippet to detections."""
