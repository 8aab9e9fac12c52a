"""One file per outside format: each reads into, or writes from, the core types."""

from duetal.formats.guess import read_annotations, read_detections

__all__ = ["read_annotations", "read_detections"]
