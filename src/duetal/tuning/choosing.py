"""The choice of settings before training: what depends on the data is measured on it.

Nothing here reads a segment or a test video. Each choice comes with its reason, in words.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from duetal.config import Config
from duetal.core.errors import DuetalError
from duetal.core.weak_videos import WeakVideos
from duetal.method.branches import LoadText
from duetal.method.loop import Method
from duetal.method.schedule import TrainingMode
from duetal.results.schema import Choice
from duetal.tuning.held_out import class_ap, hold_out
from duetal.tuning.pooling import pooled_ratios
from duetal.tuning.probing import probe
from duetal.tuning.rehearsal import Rehearsal

#: A crop is a whole video up to this many snippets.
_LONGEST_CROP = 512
#: Branches of CBP that are tried, the first of nearly equal ones is taken.
CANDIDATES: Mapping[str, Mapping[str, Any]] = {
    "two scales": {
        "cbp.levels": 2,
        "cbp.channel_dropout": 0.7,
        "cbp.linear_path": 0.0,
        "schedule.learning_rate": 0.001,
    },
    "three scales": {
        "cbp.levels": 3,
        "cbp.channel_dropout": 0.5,
        "cbp.linear_path": 0.0,
        "schedule.learning_rate": 0.002,
    },
    "a linear path": {
        "cbp.levels": 2,
        "cbp.channel_dropout": 0.7,
        "cbp.linear_path": 3.0,
        "schedule.learning_rate": 0.001,
    },
}
_POOLING = "losses.class_ratios"
#: The ratio of pooling over half of a video.
_HALF = 2.0
#: The choice depends on the data alone: runs that differ in their seed, or in how the branches take
#: turns, have the same settings.
_SEED, _MODE = 0, TrainingMode.ALTERNATE
#: Differences of held-out mean AP that are no difference.
_TIE = 0.01
#: Learning rates of VLP that are tried: a stream of few channels needs a high one.
_B_RATES = (0.003, 0.0003)
#: AP that counts: what a teacher may cost its student, and what a wider pool must gain a class.
_NOTABLE = 0.05
#: Videos of a class by which its AP is doubted.
_DOUBT = 5
#: Factor of λ that is tried where it does.
_LESS = 0.1
#: Classes whose values a line of the log shows one by one.
_SHOWN = 12
#: Networks that are averaged where there is one stream.
_MEMBERS = 3
#: Share of the second branch in the ensemble.
_LEAST_SHARE, _MOST_SHARE = 0.25, 0.5


@dataclass
class _Choosing:
    """The settings so far, and what was chosen."""

    config: Config
    notify: Callable[[str], object]
    choices: list[Choice]

    def own(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those that are to be chosen; those that are given stay."""
        return {name: v for name, v in values.items() if name in self.config.tuning.choose}

    def replaced(self, values: Mapping[str, Any]) -> Config:
        """The settings with those of some values that are to be chosen."""
        return self.config.replace(**self.own(values))

    def choose(self, values: Mapping[str, Any], reason: str) -> None:
        """Take settings that are to be chosen."""
        own = self.own(values)
        if own:
            self.config = self.replaced(own)
            self.choices.append(Choice(values=own, reason=reason))
            self.notify(f"auto: {', '.join(f'{k}={_short(v)}' for k, v in own.items())}: {reason}")

    def note(self, finding: str) -> None:
        """Keep what was found where nothing is chosen by it."""
        self.choices.append(Choice(values={}, reason=finding))
        self.notify(f"auto: {finding}")


def _short(value: Any) -> str:
    """A value as one line shows it; of many classes the extremes."""
    if not isinstance(value, list | tuple):
        return str(value)
    if len(value) > _SHOWN:
        return f"[{min(value)} to {max(value)}]"
    return f"[{', '.join(map(str, value))}]"


def tune(
    fabric: Fabric,
    config: Config,
    videos: WeakVideos,
    load_text: LoadText,
    method: Method,
    notify: Callable[[str], object] = lambda line: None,
) -> tuple[Config, list[Choice]]:
    """Choose the settings that `tuning.choose` names, on training features and labels.

    All processes of `fabric` call this, and come to the same choice.

    Raises:
        DuetalError: bad features, or a loss that is not finite.
    """
    if not config.tuning.choose:
        return config, []
    state = _Choosing(config.replace(seed=_SEED, mode=_MODE), notify, [])
    _choose(fabric, state, videos, load_text, method)
    _choose_members(state, several=len(videos.streams) > 1)
    own = config.schedule
    return state.config.replace(seed=own.seed, mode=own.mode), state.choices


def _choose(
    fabric: Fabric, state: _Choosing, videos: WeakVideos, load_text: LoadText, method: Method
) -> None:
    """All choices, each from where the last one left off."""
    _fit_size(state, videos)
    found = probe(fabric, state.config, videos, load_text, method)
    for line in found.expectation():
        state.note(line)
    ratios = {_POOLING: pooled_ratios(found.shares)}
    told = (
        f"a class fills {found.shares.min():.0%} to {found.shares.max():.0%} of a video that has "
        "it, as a linear classifier finds it in videos it was not trained on"
    )
    try:
        trained, held = hold_out(videos, state.config.tuning.held_out, _SEED)
    except DuetalError as error:
        state.choose(ratios, told)
        state.notify(f"auto: {error.cause}: the other settings stay as they are")
        return
    # Half of a video is wrong for most classes, and disastrous for none: candidates compare in it.
    state.config = state.replaced({_POOLING: (_HALF,) * len(videos.classes)})
    rehearsal = Rehearsal(fabric, state.config, trained, held, load_text, method)
    rehearsal = _choose_pyramid(state, rehearsal)
    rehearsal = _choose_pooling(state, rehearsal, ratios, told)
    if len(videos.streams) > 1 and state.config.schedule.alternations:
        if len(found.empty) == 1:
            _leave_out(state, *found.empty)
        else:
            _choose_teaching(state, rehearsal)


def _fit_size(state: _Choosing, videos: WeakVideos) -> None:
    """Crop and epochs, by the number of videos and their lengths."""
    config = state.config
    longest, count = max(map(videos.length, videos.names)), len(videos.names)
    # Divisible by every pyramid's largest stride.
    crop = min(_LONGEST_CROP, max(8, math.ceil(longest / 8) * 8))
    state.choose({"data.crop": crop}, f"the longest of {count} videos has {longest:,} snippets")
    batches = math.ceil(count / config.data.batch_size)
    updates = config.tuning.updates
    detector = 0.35 * updates
    warmup = min(max(math.ceil(updates / batches), 10), 400)
    state.choose(
        {
            "schedule.warmup_epochs": warmup,
            "schedule.b_epochs": max(1, round(0.15 * warmup)),
            "schedule.f_epochs": max(1, round(0.075 * warmup)),
            "detector.epochs": min(max(math.ceil(detector / math.ceil(count / 16)), 10), 400),
        },
        f"{updates:,} updates of the warm-up, {batches} in an epoch",
    )


def _choose_pyramid(state: _Choosing, rehearsal: Rehearsal) -> Rehearsal:
    """The CBP branch that ranks held-out videos best by their labels; its rehearsal."""
    found: dict[str, tuple[float, Rehearsal]] = {}
    for title, values in CANDIDATES.items():
        if found and not state.own(values):
            break
        trial = rehearsal.copy()
        stage = trial.train(state.replaced(values), ["warmup"])
        found[title] = trial.mean_ap(stage), trial
    best = max(ap for ap, _ in found.values())
    title = next(name for name, (ap, _) in found.items() if ap >= best - _TIE)
    told = ", ".join(f"{name} {100 * ap:.1f}" for name, (ap, _) in found.items())
    state.choose(
        CANDIDATES[title], f"mean AP of {len(rehearsal.held.names)} held-out videos' labels: {told}"
    )
    return found[title][1]


def _choose_pooling(
    state: _Choosing, half: Rehearsal, ratios: Mapping[str, Any], told: str
) -> Rehearsal:
    """Pool each class over its own share, but over half of a video where that ranks videos better.

    Half is too much of most actions, and blurs them. But where the linear classifier does not find
    a class, its share is wrong, and a network that looks for it there finds something else.
    """
    if not state.own(ratios):
        return half
    own = half.copy()
    stage = own.train(state.replaced(ratios), ["warmup"])
    mine, other = (class_ap(one.scores[stage], one.held.labels, one.weights) for one in (own, half))
    count = own.held.labels.sum(axis=0)
    # The fewer videos rank a class, the more it takes to believe it.
    wider = np.nan_to_num(other - mine) * count / (count + _DOUBT) > _NOTABLE
    told += (
        f"; held-out mean AP where each is pooled over its own share {100 * own.mean_ap(stage):.1f}"
        f", all over half of a video {100 * half.mean_ap(stage):.1f}"
    )
    if not wider.any():
        state.choose(ratios, told)
        return own
    names = ", ".join(own.held.classes[k] for k in np.flatnonzero(wider)[:_SHOWN])
    told += f": {wider.sum()} over half of it, which ranks them better ({names})"
    state.choose({_POOLING: tuple(np.where(wider, _HALF, ratios[_POOLING]).tolist())}, told)
    if not wider.all() and len(own.held.streams) > 1:
        # What is rehearsed next starts from it.
        own = half.copy()
        own.train(state.config, ["warmup"])
        return own
    return half


def _choose_members(state: _Choosing, *, several: bool) -> None:
    """Where no second branch tells CBP of what it misses, several networks do."""
    if several:
        state.choose({"cbp.members": 1}, "what CBP misses the other stream's branch tells it")
        return
    # Last of all: until here one stands for them.
    schedule = state.config.schedule
    state.choose(
        {
            "cbp.members": _MEMBERS,
            "schedule.warmup_epochs": _MEMBERS * schedule.warmup_epochs,
            "schedule.f_epochs": _MEMBERS * schedule.f_epochs,
        },
        "one stream: networks that learn in turn seldom settle on the same wrong thing",
    )


def _leave_out(state: _Choosing, empty: str) -> None:
    """Of two streams one carries nothing: its branch neither teaches nor counts."""
    first = empty == "cbp"
    state.choose(
        {
            "schedule.b_weight": float(not first),
            "schedule.f_weight": float(first),
            "localization.ensemble_weight": float(first),
        },
        "a branch whose stream carries nothing teaches nothing, and counts for nothing",
    )


def _choose_teaching(state: _Choosing, rehearsal: Rehearsal) -> None:
    """VLP's learning rate, λ of B and F steps, the ensemble's weight: one alternation rehearsed."""
    stages = {"b": "vlp-zeroshot", "f": "cbp-warmup"}
    phases = ["warmup", "zeroshot"]
    rehearsal.train(state.config, phases)
    for step, phase in (("b", "B1"), ("f", "F1")):
        before = rehearsal.mean_ap(stages[step])
        phases.append(phase)
        rate, weight = "schedule.b_learning_rate", f"schedule.{step}_weight"
        trials = []
        for value in _B_RATES if step == "b" and state.own({rate: 0}) else (None,):
            trial = rehearsal.copy()
            stages[step] = trial.train(
                state.replaced({} if value is None else {rate: value}), phases
            )
            trials.append((trial.mean_ap(stages[step]), value, trial))
        after, value, rehearsal = max(trials, key=lambda one: one[0])
        told = f"held-out mean AP of {phase}'s student {100 * before:.1f} before"
        if value is not None:
            each = ", ".join(f"{100 * ap:.1f} with {tried:g}" for ap, tried, _ in trials)
            state.choose({rate: value}, f"{told}, after it {each}")
        if state.own({weight: 1.0}):
            factor, rehearsal, told = _weigh_teacher(
                state, rehearsal, phases, weight, f"{told}, {100 * after:.1f} taught"
            )
            state.choose({weight: factor}, told)
    wrong = {step: 1 - rehearsal.mean_ap(stage) for step, stage in stages.items()}
    share = wrong["f"] / max(wrong["f"] + wrong["b"], 1e-9)
    share = round(float(np.clip(share, _LEAST_SHARE, _MOST_SHARE)), 2)
    told = ", ".join(f"{stage} {100 * rehearsal.mean_ap(stage):.1f}" for stage in stages.values())
    state.choose({"localization.ensemble_weight": share}, f"held-out mean AP: {told}")


def _weigh_teacher(
    state: _Choosing, taught: Rehearsal, phases: Sequence[str], weight: str, told: str
) -> tuple[float, Rehearsal, str]:
    """The factor of λ, the rehearsal with it, and why: teaching must reach what labels alone do."""
    alone = taught.copy()
    stage = alone.train(state.replaced({weight: 0.0}), phases)
    reached = alone.mean_ap(stage)
    told += f", {100 * reached:.1f} on labels alone"
    if taught.mean_ap(stage) >= reached - _NOTABLE:
        if taught.mean_ap(stage) <= reached + _TIE:
            told += ": the teacher adds nothing that labels show"
        return 1.0, taught, told
    less = taught.copy()
    less.train(state.replaced({weight: _LESS}), phases)
    told += f", {100 * less.mean_ap(stage):.1f} with a tenth of λ"
    if less.mean_ap(stage) >= reached - _NOTABLE:
        return _LESS, less, told
    return 0.0, alone, f"{told}: the teacher is left out"
