"""Videos to features: frames, optical flow, backbones, and the store that keeps them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from duetal.extraction.extraction_settings import ExtractionSettings
    from duetal.extraction.sources import Video
    from duetal.features.metadata import VideoRecord


def extract(
    video: "Video | str", settings: "ExtractionSettings | None" = None, **how: Any
) -> "tuple[dict[str, NDArray[np.floating]], VideoRecord]":
    """The features of one video, by modality: (T, C) or (T, crops, C), and how they were made.

    They are those that `duetal extract` stores, bit for bit. Nothing is kept from call to call: the
    networks are loaded anew. What is mapped over many videos is an `Extractor`, which loads them
    once in a process.

    Args:
        video: a path, a URL, or a `Video`.
        settings: what the features depend on; the defaults are those of `duetal extract`.
        how: as for `Extractor`: device, batch, threads.

    Raises:
        UsageError: no such device, engine or weights.
        DuetalError: the video can't be extracted, or weights that can't be had.
    """
    from duetal.extraction.extraction_settings import ExtractionSettings
    from duetal.extraction.pipeline import Extractor

    return Extractor(settings or ExtractionSettings(), **how)(video)
