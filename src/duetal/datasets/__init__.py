"""Features joined with annotations: what a layout on disk means, and what is wrong with it."""

from duetal.datasets.dataset import Dataset
from duetal.datasets.opening import open_dataset

__all__ = ["Dataset", "open_dataset"]
