"""The curved world: a class is a curve in feature space, in videos that all differ in style.

- **CBP** shows the *core* of an action as a point that moves along a part of the class's curve, in
  both halves of its channels (appearance and motion). Before and after the core an action passes
  through *gestures* that classes share; labels alone do not teach that they belong to it.
- **VLP** shows the *scene* of an action, aligned with the class's text feature, over the action and
  the context around it.

Clutter shows the same gestures without a core, and half of a core: a class's appearance without
its motion, or the reverse. No single snippet is reliable: some hide what happens, some flash
another class's core, and noise is heavy-tailed. So a classifier of single snippets breaks actions
apart and falls as far behind a network, which sees neighbours, as on real data. A slow drift lies
over all, and every video has gains, an offset and a mixture of channels of its own (camera,
people).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from duetal.core.annotations import VideoAnnotation
from duetal.core.grid import TimeGrid
from duetal.simulation.world import Array, Simulation, overlap, stream_of, unit

#: Kinds of gestures that actions begin and end with.
GESTURES = 8
#: Dimensions that CBP's features vary in, as a network's do; white noise fills the other channels.
INTRINSIC = 64


@dataclass(frozen=True)
class CurvedAmplitudes:
    """What difficulty, from 0 to 1, means; amplitudes are lengths of vectors, a core's is 1."""

    difficulty: float

    def between(self, easy: float, hard: float) -> float:
        """A value that goes from one at difficulty 0 to another at 1."""
        return easy + (hard - easy) * self.difficulty

    @property
    def noise(self) -> float:
        """Of the fast noise of CBP."""
        return self.between(0.7, 1.1)

    @property
    def vlp_noise(self) -> float:
        """Of the fast noise of VLP, where a scene has length 1."""
        return self.between(1.7, 5.0)

    @property
    def drift(self) -> float:
        """Of the slow drift."""
        return self.between(0.2, 0.4)

    @property
    def style(self) -> float:
        """Spread of gains, offset and mixing from video to video."""
        return self.between(0.03, 0.06)

    @property
    def arc(self) -> float:
        """Radians of its curve over which the instances of a class are spread."""
        return self.between(0.6, 1.2)

    @property
    def core(self) -> float:
        """Mean share of an action's duration that its core takes."""
        return self.between(0.75, 0.65)

    @property
    def gesture(self) -> float:
        """Of the phases before and after the core."""
        return self.between(0.8, 0.6)

    @property
    def jitter(self) -> float:
        """Std of where bounds are visible, as a share of an action's length: annotators differ."""
        return self.between(0.03, 0.06)

    @property
    def clutter_seconds(self) -> float:
        """Mean seconds from one stray gesture, or half of a core, to the next."""
        return self.between(40, 25)

    @property
    def hidden(self) -> float:
        """Share of single snippets in which what happens is hidden: a cut, blur, a passer-by."""
        return self.between(0.35, 0.45)

    @property
    def flashes(self) -> float:
        """Share of single snippets that flash a point of some class's curve."""
        return self.between(0.08, 0.12)

    @property
    def swing(self) -> float:
        """Radians of its curve that one instance passes through at most."""
        return self.between(1.0, 1.5)

    @property
    def topic(self) -> float:
        """Of background clutter."""
        return self.between(0.4, 0.6)

    @property
    def context_seconds(self) -> float:
        """Mean seconds of scene before and after an action."""
        return self.between(2.0, 5.0)


class CurvedWorld:
    """The curved world of some classes; see the module. `text` are their (K, D) text features.

    What a class looks like depends on the seed and its name alone, a video on its own annotation.
    """

    def __init__(self, settings: Simulation, classes: tuple[str, ...], text: Array) -> None:
        self.settings, self.classes = settings, classes
        self.a = CurvedAmplitudes(settings.difficulty)
        c, d = min(INTRINSIC, settings.cbp_channels), settings.vlp_channels
        topics = [str(i) for i in range(settings.topics)]
        self.halves = (slice(0, c // 2), slice(c // 2, c))
        #: (K, 2, 4, C) of a class, of each half of the channels: its curve's harmonics.
        self.curves = np.zeros((len(classes), 2, 4, c))
        for half, channels in enumerate(self.halves):
            size = channels.stop - channels.start
            for k, name in enumerate(classes):
                drawn = stream_of(settings.seed, "curve", str(half), name)
                self.curves[k, half, :, channels] = unit(drawn.standard_normal((4, size)))
        self.gestures = self._draw("gesture", [str(i) for i in range(GESTURES)], c)
        self.phases = [
            stream_of(settings.seed, "phases", name).integers(GESTURES, size=2) for name in classes
        ]
        self.topics = self._draw("topic", topics, c)
        # As in CLIP, the part common to all texts does not describe an image.
        self.scene = unit(text - text.mean(axis=0)) if len(text) > 1 else unit(text)
        self.action = self._draw("action", classes, d)
        self.context = self._draw("context", classes, d)
        self.places = self._draw("place", topics, d)
        self.common = self._draw("common", ["all"], d)[0]

    def _draw(self, kind: str, names: Sequence[str], size: int) -> Array:
        rows = [stream_of(self.settings.seed, kind, name).standard_normal(size) for name in names]
        return unit(np.stack(rows))

    def features(self, video: VideoAnnotation, length: int, grid: TimeGrid) -> Mapping[str, Array]:
        """(T, C) of "cbp" and (T, D) of "vlp", of a video of `length` T."""
        a, s = self.a, self.settings
        random = stream_of(s.seed, "curved script", video.name)
        cbp, action, scene = self._actions(random, video, length, grid)
        clutter, topic = self._clutter(random, length, grid)
        cbp += (1 - action.max(axis=1, keepdims=True)) * clutter
        context = (scene - action).clip(0, 1)
        visible = scene.max(axis=1, keepdims=True)
        vlp = scene @ self.scene
        vlp += 0.5 * action @ self.action + 0.5 * context @ self.context
        vlp += (1 - 0.6 * visible) * (0.8 * topic @ self.places)
        hidden = random.random(length) < a.hidden
        cbp[hidden] *= 0.2
        vlp[hidden] *= 0.2
        for t in np.flatnonzero(random.random(length) < a.flashes):
            angle = random.uniform(-0.5, 0.5, (2, 1)) * a.arc
            cbp[t] += self.on_curve(int(random.integers(len(self.classes))), angle)[0]
        return {
            "cbp": self._filmed("cbp", video.name, cbp, a.noise, s.cbp_channels),
            "vlp": self._filmed("vlp", video.name, vlp + self.common, a.vlp_noise, s.vlp_channels),
        }

    def _actions(
        self, random: np.random.Generator, video: VideoAnnotation, length: int, grid: TimeGrid
    ) -> tuple[Array, Array, Array]:
        """(T, C) what CBP shows of the actions; (T, K) shares of action and of scene in [0, 1]."""
        a = self.a
        shown = np.zeros((length, self.curves.shape[-1]))
        action, scene = np.zeros((2, length, len(self.classes)))
        for segment in video.segments or ():
            size = segment.end - segment.start
            if size <= 0:
                continue
            k = self.classes.index(segment.label)
            bounds = np.array([segment.start, segment.end]) + random.normal(0, a.jitter * size, 2)
            begin, size = bounds[0], max(bounds[1] - bounds[0], 0.2 * size)
            before, after = random.exponential(a.context_seconds, size=2)
            action[:, k] += overlap(grid, length, begin, begin + size)
            scene[:, k] += overlap(grid, length, begin - before, begin + size + after)
            share = float(np.clip(random.normal(a.core, 0.1), 0.2, 0.9))
            first = begin + random.uniform(0.3, 0.7) * (1 - share) * size
            last = first + share * size
            shown += self._core(random, k, grid, length, (first, last))
            phases = ((begin, first), (last, begin + size))
            for gesture, (start, end) in zip(self.phases[k], phases, strict=True):
                part = overlap(grid, length, start, end)
                shown += a.gesture * part[:, None] * self.gestures[gesture]
        duration = float(grid.start(np.array(length)))
        for label in video.labels:
            # The scene without the action: a stadium, a pool, the start of a replay.
            for _ in range(random.poisson(duration / 90)):
                start = random.uniform(0, duration)
                end = start + random.exponential(2 * a.context_seconds)
                scene[:, self.classes.index(label)] += overlap(grid, length, start, end)
        return shown, action.clip(0, 1), scene.clip(0, 1)

    def _clutter(
        self, random: np.random.Generator, length: int, grid: TimeGrid
    ) -> tuple[Array, Array]:
        """(T, C) what CBP shows outside of actions, and the (T, M) share of each topic in it."""
        a, duration = self.a, float(grid.start(np.array(length)))
        topic = np.zeros((length, self.settings.topics))
        start = 0.0
        while start < duration:
            end = start + random.exponential(6.0)
            topic[:, random.integers(self.settings.topics)] += overlap(grid, length, start, end)
            start = end
        topic = topic.clip(0, 1)
        shown = a.topic * topic @ self.topics
        for _ in range(random.poisson(duration / a.clutter_seconds)):
            start = random.uniform(0, duration)
            part = overlap(grid, length, start, start + random.exponential(2.0))
            gesture = self.gestures[random.integers(GESTURES)]
            shown += a.gesture * part[:, None] * gesture
        for _ in range(random.poisson(duration / a.clutter_seconds)):
            start = random.uniform(0, duration)
            k, end = int(random.integers(len(self.classes))), start + random.exponential(3.0)
            core = self._core(random, k, grid, length, (start, end))
            core[:, self.halves[random.integers(2)]] = 0
            shown += 2**0.5 * core
        return shown, topic

    def _core(
        self,
        random: np.random.Generator,
        k: int,
        grid: TimeGrid,
        length: int,
        bounds: tuple[float, float],
    ) -> Array:
        """(T, C) a core of class k from one second to another, on a random part of its curve."""
        share, core = overlap(grid, length, *bounds), np.zeros((length, self.curves.shape[-1]))
        inside = np.flatnonzero(share)
        angle = random.uniform(-0.5, 0.5, (2, 1)) * self.a.arc
        swing = random.uniform(-1, 1, (2, 1)) * self.a.swing
        start, end = bounds
        progress = (grid.centre(inside) - start) / max(end - start, 1e-6)
        angle = angle + swing * (progress.clip(0, 1) - 0.5)
        core[inside] = share[inside, None] * self.on_curve(k, angle)
        return core

    def on_curve(self, k: int, angle: Array) -> Array:
        """(T, C) points of class k's curve at (2, T) angles, one for each half of the channels."""
        harmonics = np.stack(
            [np.cos(angle), np.sin(angle), 0.7 * np.cos(2 * angle), 0.7 * np.sin(2 * angle)]
        )
        points = np.einsum("hrt,rhc->tc", harmonics, self.curves[k])
        return np.asarray(points / (2 * 1.49) ** 0.5)

    def _filmed(self, stream: str, name: str, x: Array, noise: float, channels: int) -> Array:
        """(T, C) as a video's own camera shows x, with noise."""
        a, inner = self.a, x.shape[1]
        random = stream_of(self.settings.seed, "curved", stream, name)
        slow = correlated(random.standard_normal((len(x), inner)), 0.98)
        offset = 3 * a.style * random.standard_normal(inner) / inner**0.5
        fast = correlated(random.standard_normal(x.shape), 0.2) * noise / inner**0.5
        # Student's t of 3 degrees of freedom, of a snippet as a whole.
        tails = np.sqrt(1 / random.chisquare(3, (len(x), 1)))
        seen = x + a.drift * slow / inner**0.5 + offset + fast * tails
        mixing = a.style * random.standard_normal((inner, inner)) / inner**0.5
        out = (seen + seen @ mixing) @ self.basis(stream, inner, channels)
        gain = np.exp(a.style * random.standard_normal(channels))
        out = out + 0.2 * random.standard_normal(out.shape) / channels**0.5
        return np.asarray(gain * out)

    def basis(self, stream: str, inner: int, channels: int) -> Array:
        """(inner, C) orthonormal: from the dimensions that features vary in to channels."""
        if stream == "vlp":
            return np.eye(inner)
        drawn = stream_of(self.settings.seed, "basis").standard_normal((channels, inner))
        return np.asarray(np.linalg.qr(drawn).Q.T)


def correlated(fresh: Array, persistence: float) -> Array:
    """(T, C) independent rows made correlated by `persistence` from row to row, in place."""
    renew = (1 - persistence**2) ** 0.5
    for t in range(1, len(fresh)):
        fresh[t] = persistence * fresh[t - 1] + renew * fresh[t]
    return fresh
