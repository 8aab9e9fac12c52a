"""The simulated world: which directions in feature space mean what.

Two streams look at the same videos and err in opposite ways, as I3D and CLIP do:

- **CBP** hears an action mainly at its discriminative *core*: there a loud direction speaks. The
  rest of the action speaks softly, in a direction of its own that video labels never need.
- **VLP** sees the *scene* of an action, aligned with the class's text feature, over the action and
  the context around it. What tells action from context is there too, but the text knows nothing
  of it.

Around both lies clutter: topics that come and go, some of which resemble a class's core.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Simulation:
    """What a simulated dataset is made with; `difficulty` is the number to turn.

    Amplitudes are lengths of vectors; the noise of a stream is a random vector whose direction
    changes from snippet to snippet but not wholly (`persistence`).
    """

    difficulty: float = 0.5
    """0: easy, 1: hard. Scales noise, shrinks the core, widens the context."""
    seed: int = 0
    """Seed of everything random; equal settings give equal bytes."""
    cbp_channels: int = 128
    """Channels of the CBP stream, of which the first half stands for RGB, the second for flow."""
    vlp_channels: int = 64
    """Channels of the VLP stream: the width of the text encoder."""
    topics: int = 40
    """Kinds of background clutter."""

    @property
    def cbp_noise(self) -> float:
        """Length of the CBP stream's noise vector; an action's core has length 1."""
        return 0.9 + 0.7 * self.difficulty

    @property
    def vlp_noise(self) -> float:
        """Length of the VLP stream's noise vector; a scene has length 1."""
        return 1.2 + 0.8 * self.difficulty

    @property
    def jitter(self) -> float:
        """Standard deviation, as a share of an action's length, of where its bounds are visible.

        Annotated bounds are what annotators took them for, and they do not agree either.
        """
        return 0.12 + 0.1 * self.difficulty

    @property
    def core(self) -> float:
        """Mean share of an action's duration that its discriminative core takes."""
        return 0.5 - 0.25 * self.difficulty

    @property
    def rest(self) -> float:
        """Amplitude, in the CBP stream, of the action outside its core."""
        return 0.45 - 0.3 * self.difficulty

    @property
    def context_seconds(self) -> float:
        """Mean seconds of scene before and after an action."""
        return 2.0 + 3.0 * self.difficulty

    @property
    def persistence(self) -> float:
        """Correlation of the noise of neighbouring snippets."""
        return 0.5


@dataclass(frozen=True)
class Directions:
    """Unit vectors, one row a class (or topic).

    Args:
        core: (K, C) CBP: the discriminative core.
        rest: (K, C) CBP: the action outside its core.
        around: (K, C) CBP: class-correlated context, a mixture of its class's and its own.
        topics: (M, C) CBP: clutter.
        scene: (K, D) VLP: what sets the class's text feature apart from the others'.
        action: (K, D) VLP: what an action looks like, beyond its scene.
        context: (K, D) VLP: what its context looks like.
        places: (M, D) VLP: clutter.
        common: (D,) VLP: what all images share (the gap between modalities).
    """

    core: Array
    rest: Array
    around: Array
    topics: Array
    scene: Array
    action: Array
    context: Array
    places: Array
    common: Array


def unit(x: Array) -> Array:
    """Scale rows to length 1."""
    scaled: Array = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return scaled


def stream_of(seed: int, *words: str) -> np.random.Generator:
    """A random stream that belongs to the seed and the words, and to nothing else."""
    return np.random.default_rng([seed, *(zlib.crc32(word.encode()) for word in words)])


def directions(settings: Simulation, classes: Sequence[str], text: Array) -> Directions:
    """Draw the world. Each class's directions depend on the seed and its name alone.

    Args:
        settings: seed and sizes.
        classes: K names.
        text: (K, D) text features of the classes.
    """
    c, d, m = settings.cbp_channels, settings.vlp_channels, settings.topics

    def draw(kind: str, names: Sequence[str], size: int) -> Array:
        rows = [stream_of(settings.seed, kind, name).standard_normal(size) for name in names]
        return unit(np.stack(rows))

    topics = [str(i) for i in range(m)]
    core = draw("core", classes, c)
    return Directions(
        core=core,
        rest=draw("rest", classes, c),
        around=draw("around", classes, c),
        topics=draw("topic", topics, c),
        # As in CLIP, what all texts share says nothing of an image.
        scene=unit(text - text.mean(axis=0)) if len(text) > 1 else unit(text),
        action=draw("action", classes, d),
        context=draw("context", classes, d),
        places=draw("place", topics, d),
        common=draw("common", ["all"], d)[0],
    )
