"""Columns of numbers as a page embeds them: of fixed width, in base64.

`assets/columns.js` reads them back.
"""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray


def column(values: NDArray[Any], width: str) -> str:
    """(N,) numbers as base64; `width` is a little-endian type of numpy, such as "<u2" or "<f4"."""
    if width.endswith("f4"):
        # Infinity can't be drawn.
        values = np.clip(values, np.finfo(np.float32).min, np.finfo(np.float32).max)
    return base64.b64encode(np.ascontiguousarray(values, dtype=width).tobytes()).decode("ascii")


def quantise(probabilities: NDArray[np.floating], pool: int) -> str:
    """A curve of (T,) values in [0, 1] as base64 bytes, 255 for probability 1.

    `pool` snippets are joined by their maximum into one point.
    """
    padding = -len(probabilities) % pool
    padded = np.pad(probabilities, (0, padding)).reshape(-1, pool).max(axis=1)
    return column(np.rint(padded.clip(0, 1) * 255), "u1")


def dequantise(text: str) -> NDArray[np.float32]:
    """The points of a curve that `quantise` has written; none of a text that it has not."""
    try:
        values = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    except ValueError:
        values = np.zeros(0, dtype=np.uint8)
    return values.astype(np.float32) / np.float32(255)


def pack_nibbles(kinds: NDArray[np.integer]) -> str:
    """(N, K) numbers below 16 as base64, two a byte, each row filled up to whole bytes."""
    even = np.pad(kinds, ((0, 0), (0, kinds.shape[1] % 2))).astype(np.uint8)
    return column(even[:, 0::2] | (even[:, 1::2] << 4), "u1")


def pack_labels(labels: NDArray[np.integer]) -> str:
    """(T,) pseudo-labels as base64, two bits a snippet, in which each is one more.

    A label is -1 (ignored), 0 (background) or 1 (foreground).
    """
    codes = np.pad(labels + 1, (0, -len(labels) % 4)).astype(np.uint8).reshape(-1, 4)
    return column(codes @ np.array([1, 4, 16, 64], dtype=np.uint8), "u1")
