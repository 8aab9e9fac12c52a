"""Columns of numbers as a page embeds them: of fixed width, in base64.

`assets/columns.js` reads them back.
"""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray


def column(values: NDArray[Any], width: str) -> str:
    """A column as base64.

    Args:
        values: (N,) numbers.
        width: numpy's name of the little-endian type, such as "<u2" or "<f4".
    """
    if width.endswith("f4"):
        # Infinity can't be drawn.
        values = np.clip(values, np.finfo(np.float32).min, np.finfo(np.float32).max)
    return base64.b64encode(np.ascontiguousarray(values, dtype=width).tobytes()).decode("ascii")


def quantise(probabilities: NDArray[np.floating], pool: int) -> str:
    """One curve as base64 bytes, 255 for probability 1.

    Args:
        probabilities: (T,) values in [0, 1].
        pool: snippets joined by their maximum into one point.
    """
    padding = -len(probabilities) % pool
    padded = np.pad(probabilities, (0, padding)).reshape(-1, pool).max(axis=1)
    return column(np.rint(padded.clip(0, 1) * 255), "u1")


def pack_nibbles(kinds: NDArray[np.integer]) -> str:
    """Numbers below 16 as base64, two a byte.

    Args:
        kinds: (N, K); row by row, a row filled up to whole bytes.
    """
    even = np.pad(kinds, ((0, 0), (0, kinds.shape[1] % 2))).astype(np.uint8)
    return column(even[:, 0::2] | (even[:, 1::2] << 4), "u1")


def pack_labels(labels: NDArray[np.integer]) -> str:
    """Pseudo-labels as base64, two bits a snippet: 0 ignored, 1 background, 2 foreground.

    Args:
        labels: (T,) of -1 (ignored), 0 (background) and 1 (foreground).
    """
    codes = np.pad(labels + 1, (0, -len(labels) % 4)).astype(np.uint8).reshape(-1, 4)
    return column(codes @ np.array([1, 4, 16, 64], dtype=np.uint8), "u1")
