"""THUMOS14's size, so that benchmarks of it need no data."""

import numpy as np

CLASSES = 20
#: Snippets (stride 16 at 25 fps) of the 200 training and the 212 test videos: every 21st part of
#: them is shorter than the next number.
TRAINING_QUANTILES = (
    *(13, 47, 55, 76, 100, 124, 151, 170, 188, 205, 217),
    *(244, 265, 291, 305, 337, 361, 440, 529, 777, 1107, 2202),
)
TEST_QUANTILES = (
    *(23, 52, 73, 101, 113, 145, 160, 181, 195, 216, 239),
    *(264, 281, 300, 324, 341, 364, 387, 490, 649, 1106, 2614),
)


def lengths(quantiles: tuple[int, ...], videos: int) -> list[int]:
    """T of some videos whose lengths are spread as the quantiles say."""
    at = (np.arange(videos) + 0.5) / videos
    spread = np.interp(at, np.linspace(0, 1, len(quantiles)), quantiles)
    return [int(length) for length in np.random.default_rng(0).permutation(spread)]
