"""A trained run that finds classes it was not trained on, by their words.

A class of the run itself is scored as ever. Of any other the words are compared with the snippets
as without training, but for two things that the run has learnt: the prompts around a name, and what
CBP sees. Where CBP sees one of its own classes, and the words of that are in the video too, no
other is; and in a video that has none of those, what it sees all the same is something else: its
foreground-ness. VLP's temporal layers take no part: they move features towards the classes of the
training (docs/words.md).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from duetal.backbones.class_embeddings import load_text, phrase_features
from duetal.backbones.pretrained import is_hub_name
from duetal.config import make_config, read_values
from duetal.core.annotations import display_name
from duetal.core.array_types import Floats, Singles
from duetal.core.errors import DuetalError, UsageError
from duetal.core.name_matching import plain
from duetal.core.url_paths import as_path
from duetal.method.branches import text_of
from duetal.method.text import PromptedTextEncoder
from duetal.method.zero_shot import unit
from duetal.results import checkpoints
from duetal.runs.run import Run
from duetal.runs.stage_scoring import Scorer, Videos, VideoScores, features_of, stage_scorer
from duetal.runs.zero_shot_run import LOCALIZATION, zero_shot_scorer

READER, CLASSIFIER = "vlp", "cbp"


def with_words(
    run: Run,
    phrases: Mapping[str, Sequence[str]],
    stage: str | None = None,
    text_encoder: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> tuple[Run, list[str]]:
    """A run that finds the classes of these words in place of its own, and the checkpoints it uses.

    Args:
        run: with a VLP branch.
        phrases: the phrasings of each class. Those of a class of the run itself, called by its name
            or as that is displayed, are not read.
        stage: a checkpoint of VLP, or "vlp" for its final one; by default that with CBP's.
        text_encoder: what reads the words, where it is no longer where the run was trained.
        settings: of localization and `zero_shot`. With a class that the run does not know, the
            defaults of localization are those that suit words.

    Raises:
        UsageError: the run has no VLP branch, the stage is not of it, or a bad setting.
        DuetalError: the text encoder can't be loaded, is another one, or words are too long for it.
    """
    path = run.folder.path
    if READER not in run.model.titles():
        raise UsageError("--classes: the run has no VLP branch, which reads words", file=path)
    stages = run.model.stages_named(stage or ("both" if len(run.model.branches) > 1 else READER))
    branches = [] if run.model.is_detector(stages) else [run.model.stage(s).branch for s in stages]
    if READER not in branches:
        cause = f"{stage}: knows no other classes than the run's own; vlp and both read words"
        raise UsageError(cause, place="--classes")
    own = _own_columns(run, phrases)
    new = {label: said for label, said in phrases.items() if label not in own}
    chosen = LOCALIZATION if new else {}
    values = (run.config.flat(), chosen, settings or {})
    read = [read_values(part, "settings") for part in values]
    run = replace(run, config=make_config(read[0] | read[1] | read[2], "settings"))
    text, own_text = np.empty((0, 0), dtype=np.float32), None
    if new:
        source = text_encoder or _own_text_encoder(run)
        reader = stages[branches.index(READER)]
        checkpoint = run.folder.checkpoint(reader)
        text = learnt_text(run, checkpoints.load(checkpoint).tensors, new, source)
        if CLASSIFIER in branches:
            shown = run.model.display_names
            said = {label: (shown.get(label, display_name(label)),) for label in run.model.classes}
            own_text = phrase_features(source, said, ["{}"])

    @cache
    def opened(data: Videos, device: torch.device) -> Scorer:
        return stage_scorer(run, stages, data, device)

    def make_scorer(data: Videos, names: Sequence[str], device: torch.device) -> Scorer:
        # Of a live video scorers are made again and again, as its words have to be.
        known = opened(data, device)
        if not new:
            return _joined(run, list(phrases), own, known)
        stream = features_of(run, reader, data)
        words = zero_shot_scorer(stream, names, text, run.config)
        own_words = None
        if own_text is not None:
            own_words = zero_shot_scorer(stream, names, own_text, run.config)
        return _joined(run, list(phrases), own, known, words, own_words)

    model = run.model.model_copy(update={"classes": list(phrases)})
    return replace(run, model=model, make_scorer=make_scorer), stages


def _own_text_encoder(run: Run) -> str:
    """The text encoder that the run was trained with; DuetalError if it is not at hand."""
    source = run.model.text_encoder or run.config.data.text_encoder
    if source is None:
        cause = "the run does not say what reads its words; --text-encoder names it"
    # Of a run that was handed on, a path of the machine it was made on has kept its last part.
    elif not is_hub_name(source) and not as_path(source).exists():
        cause = f"its words are read by {source!r}, which is not here; --text-encoder names a copy"
    else:
        return source
    raise DuetalError(cause, file=run.folder.model_file)


def _own_columns(run: Run, names: Iterable[str]) -> dict[str, int]:
    """The column of each class that the run was trained on; "high jump" is its HighJump."""
    shown = run.model.display_names
    columns = {}
    for column, label in enumerate(run.model.classes):
        columns[plain(shown.get(label, display_name(label)))] = column
    columns |= {label: column for column, label in enumerate(run.model.classes)}
    found = {name: columns.get(name, columns.get(plain(display_name(name)))) for name in names}
    return {name: column for name, column in found.items() if column is not None}


def learnt_text(
    run: Run, tensors: Mapping[str, Tensor], phrases: Mapping[str, Sequence[str]], source: str
) -> Singles:
    """(K, D) unit text features of new classes: of the plain words, and as the run reads them.

    `tensors` are those of a checkpoint of VLP, `source` is the text encoder. The share of what the
    prompts have learnt is `zero_shot.learnt_share`.

    Raises:
        DuetalError: another text encoder than that of the training, or as `load_text`.
    """
    words = phrase_features(source, phrases, ["{}"])
    if words.shape[1] != (dim := run.model.branch(READER).dim):
        cause = f"text features have dimension {words.shape[1]}, those of the run {dim}"
        raise DuetalError(cause, file=Path(source), place="text encoder")
    share = run.config.zero_shot.learnt_share
    if not share or "text.prompts" not in tensors:
        return words
    prompted = dict(zip(phrases, prompted_text(run, tensors, phrases, source), strict=True))
    means = [prompted[label] for label in phrases]
    return unit((1 - share) * words + share * np.stack(means))


@torch.no_grad()
def prompted_text(
    run: Run, tensors: Mapping[str, Tensor], phrases: Mapping[str, Sequence[str]], source: str
) -> list[Singles]:
    """(D,) of each class: the mean over its phrasings, read with the prompts of a checkpoint.

    With `vlp.zero_shot_start` they are the plain words' features plus what the prompts have learnt
    since they started. How they started follows from the seed, and is checked on the run's own
    classes; raises as `learnt_text`.
    """
    own, said = list(run.model.classes), [words for each in phrases.values() for words in each]
    # By number: words of the user's may be called as a class of the run is, with another display.
    shown = {f"{i}": run.model.display_names.get(label, label) for i, label in enumerate(own)}
    shown |= {f"+{i}": words for i, words in enumerate(said)}
    text = text_of(run.config, source, tuple(shown), shown, load_text)
    assert isinstance(text, PromptedTextEncoder)
    started, known = text(), tensors["initial_text"]
    if not torch.allclose(started[: len(known)], known, atol=1e-3, rtol=1e-2):
        cause = "is not the text encoder that the run was trained with"
        raise DuetalError(cause, file=Path(source), place="text encoder")
    text.prompts.copy_(tensors["text.prompts"])
    learnt: Tensor = text()
    features = text.plain() + learnt - started if run.config.vlp.zero_shot_start else learnt
    each = iter(F.normalize(features[len(own) :], dim=-1))
    return [torch.stack([next(each) for _ in s]).mean(0).numpy() for s in phrases.values()]


def _joined(
    run: Run,
    classes: Sequence[str],
    own: Mapping[str, int],
    known: Scorer,
    words: Scorer | None = None,
    own_words: Scorer | None = None,
) -> Scorer:
    """The scores of `classes`: those of `own` from the run's columns, of others by their words.

    `words` score the others without training, and `own_words`, where CBP is heard, all of the run.
    """
    others = [label for label in classes if label not in own]

    def join(given: NDArray[np.floating], found: NDArray[np.floating]) -> NDArray[np.floating]:
        columns = [
            given[..., own[label]] if label in own else found[..., others.index(label)]
            for label in classes
        ]
        return np.stack(columns, axis=-1)

    def score(name: str) -> VideoScores:
        trained = known(name)
        by_words = VideoScores(np.empty((len(trained.snippets), 0)), np.empty(0))
        if words is not None:
            by_words = words(name)
        snippets = by_words.snippets
        found = dict.fromkeys(trained.branches, snippets)
        if own_words is not None:
            other, foreground = _seen_by_cbp(trained, snippets, own_words(name).snippets)
            share = run.config.zero_shot.foreground_share
            found[CLASSIFIER] = foreground
            snippets = ((1 - share) * snippets + share * foreground) * other
        curves = {branch: join(c, found[branch]) for branch, c in trained.branches.items()}
        video = join(trained.video, by_words.video)
        return VideoScores(join(trained.snippets, snippets), video, curves)

    return score


def _seen_by_cbp(
    trained: VideoScores, new: NDArray[np.floating], own: NDArray[np.floating]
) -> tuple[Floats, Floats]:
    """(T, J) the probability that a snippet has no class of the run; foreground-ness without those.

    Of J new classes; `new` (T, J) and `own` (T, K) are what words alone say of them and of the
    run's. A snippet's class is one that its video has, so both probabilities are multiplied; and
    CBP, which takes a new class for the nearest of its own, is believed as far as the words of that
    class are in the video rather than those of the new one.
    """
    curves = np.asarray(trained.branches[CLASSIFIER], dtype=np.float64)
    said, said_new = _loudest(own), _loudest(new)
    rather = said / np.maximum(said + said_new[:, None], 1e-12)
    believed = trained.branch_videos[CLASSIFIER] * rather  # (J, K)
    of_class = np.stack([(curves * row).max(axis=1) for row in believed], axis=1)
    return 1 - of_class, curves.max(axis=1, keepdims=True) * (1 - believed.max(axis=1))


def _loudest(snippets: NDArray[np.floating]) -> Floats:
    """(K,) the mean of the top eighth of snippets (T, K)."""
    count = max(1, len(snippets) // 8)
    return np.asarray(np.sort(snippets, axis=0)[-count:].mean(axis=0), dtype=np.float64)
