"""Weakly-supervised temporal action localization; see `duetal.api` for what is used from here."""

# The names of `__all__` come from the star import; a test compares them with those of the API.
# ruff: noqa: F403, F405

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "Annotations",
    "Comparison",
    "Detections",
    "Diagnosis",
    "DuetalError",
    "DuetalWarning",
    "Evaluation",
    "Segment",
    "TrainedRun",
    "UsageError",
    "VideoAnnotation",
    "__version__",
    "compare",
    "convert",
    "diagnose",
    "evaluate",
    "evaluate_splits",
    "extract",
    "load",
    "localize",
    "localize_scores",
    "read_annotations",
    "read_detections",
    "report",
    "train",
    "write_detections",
]

if TYPE_CHECKING:
    from duetal.api import *
else:

    def __getattr__(name: str) -> object:
        """A name of the API, imported when it is first used."""
        if name in __all__:
            return getattr(importlib.import_module("duetal.api"), name)
        raise AttributeError(f"module 'duetal' has no attribute {name!r}")

    def __dir__() -> list[str]:
        """The API's names too, for completion."""
        return sorted({*globals(), *__all__})
