"""One simulated video: what happens when, and what the two streams make of it."""

from dataclasses import dataclass

import numpy as np

from duetal.core.annotations import VideoAnnotation
from duetal.core.grid import TimeGrid
from duetal.simulation.world import Array, Directions, Simulation, stream_of


@dataclass(frozen=True)
class Script:
    """What happens in each snippet, as shares in [0, 1] of the snippet's window.

    Args:
        action: (T, K) inside an action.
        core: (T, K) inside an action's discriminative core.
        scene: (T, K) in the scene of an action, the action included.
        topic: (T, M) clutter.
        lookalike: (T, K) clutter that resembles a class's core.
    """

    action: Array
    core: Array
    scene: Array
    topic: Array
    lookalike: Array


def overlap(grid: TimeGrid, length: int, start: float, end: float) -> Array:
    """(T,) share of each snippet's window that lies in `[start, end]` seconds."""
    begin = grid.start(np.arange(length))
    window = grid.window / grid.fps
    shared = np.minimum(begin + window, end) - np.maximum(begin, start)
    return np.clip(shared / window, 0.0, 1.0)


def write_script(
    video: VideoAnnotation, classes: tuple[str, ...], length: int, grid: TimeGrid, s: Simulation
) -> Script:
    """Decide what happens in a video of `length` snippets, from its annotated segments."""
    random = stream_of(s.seed, "script", video.name)
    index = {name: k for k, name in enumerate(classes)}
    shape = (length, len(classes))
    action, core, scene = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    duration = float(grid.start(np.array(length)))
    for segment in video.segments or ():
        k = index[segment.label]
        size = segment.end - segment.start
        if size <= 0:
            continue
        begin, end = np.array([segment.start, segment.end]) + random.normal(0, s.jitter * size, 2)
        size = max(end - begin, 0.2 * size)
        share = float(np.clip(random.normal(s.core, 0.1), 0.1, 0.9))
        offset = begin + random.uniform(0, 1 - share) * size
        before, after = random.exponential(s.context_seconds, size=2)
        action[:, k] += overlap(grid, length, begin, begin + size)
        core[:, k] += overlap(grid, length, offset, offset + share * size)
        scene[:, k] += overlap(grid, length, begin - before, begin + size + after)
    for label in video.labels:
        # Shots of the place without the action: a stadium, a pool, a replay's lead-in.
        for _ in range(random.poisson(duration / 90)):
            start = random.uniform(0, duration)
            end = start + random.exponential(2 * s.context_seconds)
            scene[:, index[label]] += overlap(grid, length, start, end)
    topic = np.zeros((length, s.topics))
    lookalike = np.zeros(shape)
    start = 0.0
    while start < duration:
        end = start + random.exponential(6.0)
        topic[:, random.integers(s.topics)] += overlap(grid, length, start, end)
        start = end
    for _ in range(random.poisson(duration / 40)):
        # Something that moves like another class's core, or this one's.
        start = random.uniform(0, duration)
        end = start + random.exponential(1.5)
        lookalike[:, random.integers(len(classes))] += overlap(grid, length, start, end)
    inside = action.max(axis=1, keepdims=True).clip(0, 1)
    return Script(
        action.clip(0, 1),
        core.clip(0, 1),
        scene.clip(0, 1),
        topic.clip(0, 1),
        lookalike.clip(0, 1) * (1 - inside),
    )


def cbp_features(script: Script, world: Directions, s: Simulation, name: str) -> Array:
    """(T, C): loud in an action's core, soft in its rest, context and clutter around."""
    random = stream_of(s.seed, "cbp", name)
    rest = script.action - script.core
    context = (script.scene - script.action).clip(0, 1)
    inside = script.action.max(axis=1, keepdims=True)
    x = script.core @ world.core + s.rest * rest @ world.rest
    x += 0.15 * context @ world.around + 0.05 * script.scene @ world.core
    x += (1 - 0.5 * inside) * (0.6 * script.topic @ world.topics)
    x += 0.6 * script.lookalike @ world.core
    out: Array = x + noise(random, len(x), s.cbp_channels, s.cbp_noise, s.persistence)
    return out


def vlp_features(script: Script, world: Directions, s: Simulation, name: str) -> Array:
    """(T, D): the scene's text feature over action and context alike, clutter elsewhere."""
    random = stream_of(s.seed, "vlp", name)
    context = (script.scene - script.action).clip(0, 1)
    visible = script.scene.max(axis=1, keepdims=True)
    x = world.common + script.scene @ world.scene
    x += 0.5 * script.action @ world.action + 0.5 * context @ world.context
    x += (1 - 0.6 * visible) * (0.8 * script.topic @ world.places)
    out: Array = x + noise(random, len(x), s.vlp_channels, s.vlp_noise, s.persistence)
    return out


def noise(
    random: np.random.Generator, length: int, channels: int, size: float, persistence: float
) -> Array:
    """(T, C) noise of expected length `size`, correlated by `persistence` from row to row."""
    fresh = random.standard_normal((length, channels)) * size / channels**0.5
    out: Array = np.empty_like(fresh)
    out[0] = fresh[0]
    renew = (1 - persistence**2) ** 0.5
    for t in range(1, length):
        out[t] = persistence * out[t - 1] + renew * fresh[t]
    return out
