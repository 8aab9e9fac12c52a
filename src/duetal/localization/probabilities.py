"""The check that what comes from a network is probabilities."""

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError

#: How far rounding in single or half precision may carry a probability out of 0..1.
ROUNDING = 1e-3


def check_probabilities(
    probabilities: NDArray[np.floating],
    video_probabilities: NDArray[np.floating],
    name: str | None = None,
) -> None:
    """Check the probabilities of one video.

    Args:
        probabilities: (T, K) of each class at each snippet.
        video_probabilities: (K,) of each class in the video.
        name: the video, for the error message.

    Raises:
        DuetalError: shapes that don't fit, or a value that is not in 0..1; names the video.
    """
    place = None if name is None else f"video {name!r}"
    if probabilities.ndim != 2 or probabilities.shape[1:] != video_probabilities.shape:
        raise DuetalError(
            f"probabilities {probabilities.shape} of snippets and {video_probabilities.shape} of "
            "the video: must be (T, K) and (K,)",
            place=place,
        )
    for values, axes in ((probabilities, ("snippet", "class")), (video_probabilities, ("class",))):
        inside = (values >= -ROUNDING) & (values <= 1 + ROUNDING)  # NaN is outside
        if not inside.all():
            position = np.unravel_index(np.argmin(inside), values.shape)
            at = ", ".join(f"{axis} {i}" for axis, i in zip(axes, position, strict=True))
            raise DuetalError(f"{values[position]} at {at} is no probability", place=place)
