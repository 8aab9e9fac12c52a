"""Feature arrays on disk, memory-mapped."""

from duetal.features.streams import FeaturePart, FeatureStream, open_part

__all__ = ["FeaturePart", "FeatureStream", "open_part"]
