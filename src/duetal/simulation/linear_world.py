"""The linear world: a class is one direction in feature space, and noise is alike everywhere.

- **CBP** responds strongly to the discriminative *core* of an action, and weakly, in another
  direction that video labels never need, to the rest of it.
- **VLP** responds to the *scene* of an action, aligned with the class's text feature, over the
  action and the context around it. A difference between action and context exists as well, but the
  text feature has none of it.

Both contain clutter: topics that come and go, some of them similar to a class's core. A linear
classifier of snippets does better here than any network, which is the case on no real data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from duetal.core.annotations import VideoAnnotation
from duetal.core.grid import TimeGrid
from duetal.simulation.world import Array, Simulation, overlap, stream_of, unit


@dataclass(frozen=True)
class LinearAmplitudes:
    """What difficulty, from 0 to 1, means; amplitudes are lengths of vectors."""

    difficulty: float
    persistence: ClassVar[float] = 0.5
    """Correlation of the noise of neighbouring snippets."""

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
        """Std of where bounds are visible, as a share of an action's length: annotators differ."""
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


@dataclass(frozen=True)
class Directions:
    """Unit vectors, one row a class (or topic)."""

    core: Array  # (K, C) CBP: the discriminative core.
    rest: Array  # (K, C) CBP: the action outside its core.
    around: Array  # (K, C) CBP: class-correlated context.
    topics: Array  # (M, C) CBP: clutter.
    scene: Array  # (K, D) VLP: the class's text feature less the mean of all.
    action: Array  # (K, D) VLP: an action beyond its scene.
    context: Array  # (K, D) VLP: its context.
    places: Array  # (M, D) VLP: clutter.
    common: Array  # (D,) VLP: shared by all images (the gap between modalities).


def directions(settings: Simulation, classes: Sequence[str], text: Array) -> Directions:
    """Draw the directions of K classes, which depend on the seed and the class's name alone.

    `text` are the (K, D) text features of the classes.
    """
    c, d = settings.cbp_channels, settings.vlp_channels

    def draw(kind: str, names: Sequence[str], size: int) -> Array:
        rows = [stream_of(settings.seed, kind, name).standard_normal(size) for name in names]
        return unit(np.stack(rows))

    topics = [str(i) for i in range(settings.topics)]
    return Directions(
        core=draw("core", classes, c),
        rest=draw("rest", classes, c),
        around=draw("around", classes, c),
        topics=draw("topic", topics, c),
        # As in CLIP, the part common to all texts does not describe an image.
        scene=unit(text - text.mean(axis=0)) if len(text) > 1 else unit(text),
        action=draw("action", classes, d),
        context=draw("context", classes, d),
        places=draw("place", topics, d),
        common=draw("common", ["all"], d)[0],
    )


@dataclass(frozen=True)
class Script:
    """What happens in each snippet, as shares in [0, 1] of the snippet's window."""

    action: Array  # (T, K) inside an action.
    core: Array  # (T, K) inside an action's discriminative core.
    scene: Array  # (T, K) in the scene of an action, the action included.
    topic: Array  # (T, M) clutter.
    lookalike: Array  # (T, K) clutter that resembles a class's core.


def write_script(
    video: VideoAnnotation, classes: tuple[str, ...], length: int, grid: TimeGrid, s: Simulation
) -> Script:
    """Decide what happens in a video of `length` snippets, from its annotated segments."""
    a = LinearAmplitudes(s.difficulty)
    random = stream_of(s.seed, "script", video.name)
    index = {name: k for k, name in enumerate(classes)}
    action, core, scene, lookalike = np.zeros((4, length, len(classes)))
    duration = float(grid.start(np.array(length)))
    for segment in video.segments or ():
        k = index[segment.label]
        size = segment.end - segment.start
        if size <= 0:
            continue
        begin, end = np.array([segment.start, segment.end]) + random.normal(0, a.jitter * size, 2)
        size = max(end - begin, 0.2 * size)
        share = float(np.clip(random.normal(a.core, 0.1), 0.1, 0.9))
        offset = begin + random.uniform(0, 1 - share) * size
        before, after = random.exponential(a.context_seconds, size=2)
        action[:, k] += overlap(grid, length, begin, begin + size)
        core[:, k] += overlap(grid, length, offset, offset + share * size)
        scene[:, k] += overlap(grid, length, begin - before, begin + size + after)
    for label in video.labels:
        # The scene without the action: a stadium, a pool, the start of a replay.
        for _ in range(random.poisson(duration / 90)):
            start = random.uniform(0, duration)
            end = start + random.exponential(2 * a.context_seconds)
            scene[:, index[label]] += overlap(grid, length, start, end)
    topic = np.zeros((length, s.topics))
    start = 0.0
    while start < duration:
        end = start + random.exponential(6.0)
        topic[:, random.integers(s.topics)] += overlap(grid, length, start, end)
        start = end
    for _ in range(random.poisson(duration / 40)):
        # Motion similar to a class's core.
        start = random.uniform(0, duration)
        end = start + random.exponential(1.5)
        lookalike[:, random.integers(len(classes))] += overlap(grid, length, start, end)
    outside = 1 - action.max(axis=1, keepdims=True).clip(0, 1)
    action, core, scene, topic, lookalike = (
        each.clip(0, 1) for each in (action, core, scene, topic, lookalike)
    )
    return Script(action, core, scene, topic, lookalike * outside)


def cbp_features(script: Script, world: Directions, s: Simulation, name: str) -> Array:
    """(T, C): strong in an action's core, weak in its rest, context and clutter around."""
    random, a = stream_of(s.seed, "cbp", name), LinearAmplitudes(s.difficulty)
    rest = script.action - script.core
    context = (script.scene - script.action).clip(0, 1)
    inside = script.action.max(axis=1, keepdims=True)
    x = script.core @ world.core + a.rest * rest @ world.rest
    x += 0.15 * context @ world.around + 0.05 * script.scene @ world.core
    x += (1 - 0.5 * inside) * (0.6 * script.topic @ world.topics)
    x += 0.6 * script.lookalike @ world.core
    return np.asarray(x + noise(random, len(x), s.cbp_channels, a.cbp_noise, a.persistence))


def vlp_features(script: Script, world: Directions, s: Simulation, name: str) -> Array:
    """(T, D): the scene's text feature over action and context alike, clutter elsewhere."""
    random, a = stream_of(s.seed, "vlp", name), LinearAmplitudes(s.difficulty)
    context = (script.scene - script.action).clip(0, 1)
    visible = script.scene.max(axis=1, keepdims=True)
    x = world.common + script.scene @ world.scene
    x += 0.5 * script.action @ world.action + 0.5 * context @ world.context
    x += (1 - 0.6 * visible) * (0.8 * script.topic @ world.places)
    return np.asarray(x + noise(random, len(x), s.vlp_channels, a.vlp_noise, a.persistence))


class LinearWorld:
    """The linear world of some classes; see the module. `text` are their (K, D) text features."""

    def __init__(self, settings: Simulation, classes: tuple[str, ...], text: Array) -> None:
        self.settings, self.classes = settings, classes
        self.directions = directions(settings, classes, text)

    def features(self, video: VideoAnnotation, length: int, grid: TimeGrid) -> Mapping[str, Array]:
        """(T, C) of "cbp" and (T, D) of "vlp", of a video of `length` T."""
        script = write_script(video, self.classes, length, grid, self.settings)
        return {
            stream: make(script, self.directions, self.settings, video.name)
            for stream, make in (("cbp", cbp_features), ("vlp", vlp_features))
        }


def noise(
    random: np.random.Generator, length: int, channels: int, size: float, persistence: float
) -> Array:
    """(T, C) noise of expected length `size`, correlated by `persistence` from row to row."""
    fresh = random.standard_normal((length, channels)) * size / channels**0.5
    renew = (1 - persistence**2) ** 0.5
    for t in range(1, length):
        fresh[t] = persistence * fresh[t - 1] + renew * fresh[t]
    return np.asarray(fresh)
