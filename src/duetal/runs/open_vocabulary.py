"""A trained run that finds classes it was not trained on, by their words.

VLP compares its frame features with the words as it has learnt to read them: the prompts that it
was trained with stand around any name. CBP knows no other classes than its own; of an action of any
other class it knows that something happens, its foreground-ness.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from duetal.backbones.class_embeddings import load_text
from duetal.core.array_types import Singles
from duetal.core.errors import DuetalError, UsageError
from duetal.datasets import Dataset
from duetal.localization.ensemble import combine_branches
from duetal.method.branches import text_of
from duetal.method.layers import BranchNetwork
from duetal.method.text import PromptedTextEncoder
from duetal.results import checkpoints
from duetal.runs.run import Run
from duetal.runs.stage_scoring import (
    Scorer,
    VideoScores,
    branch_scorer,
    fitting_stream,
    restore,
)

READER, CLASSIFIER = "vlp", "cbp"


def with_words(
    run: Run,
    phrases: Mapping[str, Sequence[str]],
    stage: str | None = None,
    text_encoder: str | None = None,
) -> tuple[Run, list[str]]:
    """A run that finds the classes of these words in place of its own, and the checkpoints it uses.

    Args:
        run: with a VLP branch.
        phrases: the phrasings of each class. A class of the run itself is scored by CBP too.
        stage: a checkpoint of VLP, or "vlp" for its final one; by default that with CBP's.
        text_encoder: what reads the words, where it is no longer where the run was trained.

    Raises:
        UsageError: the run has no VLP branch, or the stage is not of it.
        DuetalError: the text encoder can't be loaded, is another one, or words are too long for it.
    """
    if READER not in run.model.titles():
        raise UsageError(
            "--classes: the run has no VLP branch, which reads words", file=run.folder.path
        )
    stages = run.model.stages_named(stage or ("both" if len(run.model.branches) > 1 else READER))
    branches = [] if run.model.is_detector(stages) else [run.model.stage(s).branch for s in stages]
    if READER not in branches:
        cause = f"{stage}: knows no other classes than the run's own; vlp and both read words"
        raise UsageError(cause, place="--classes")
    checkpoint = run.folder.checkpoint(stages[branches.index(READER)])
    source = text_encoder or run.model.text_encoder or run.config.data.text_encoder
    if source is None:
        cause = "the run does not say what reads its words; --text-encoder names it"
        raise DuetalError(cause, file=run.folder.model_file)
    tensors = checkpoints.load(checkpoint).tensors
    text = learnt_text(run, tensors, phrases, source)
    plain = torch.zeros_like(text)
    new = {"text.features": text, "initial_text": plain, "zero_shot_text": plain}
    kind, dim = run.method.branch(READER), run.model.branch(READER).dim
    network = kind.for_inference(run.config, dim, len(phrases))
    checkpoints.load_into(network, tensors | new, checkpoint)
    others = [s for s, branch in zip(stages, branches, strict=True) if branch == CLASSIFIER]
    named = replace(run, model=run.model.model_copy(update={"classes": list(phrases)}))

    def make_scorer(data: Dataset, names: Sequence[str], device: torch.device) -> Scorer:
        reader = network.to(device).eval()
        stream = fitting_stream(run, READER, data)
        by_words = branch_scorer(reader, stream, READER, run.config, device)
        if not others:
            return by_words
        classifier = restore(run, others[0]).to(device)
        return _with_foreground(run, by_words, classifier, list(phrases), data, device)

    return replace(named, make_scorer=make_scorer), stages


def learnt_text(
    run: Run, tensors: Mapping[str, Tensor], phrases: Mapping[str, Sequence[str]], source: str
) -> Tensor:
    """(K, D) unit text features of new classes, as a trained VLP branch reads them.

    `tensors` are those of its checkpoint, `source` is the text encoder. With `zero_shot_start` the
    features are those of the plain words plus what the prompts have learnt since they started; how
    they started follows from the seed, and is checked on the run's own classes.

    Raises:
        DuetalError: another text encoder than that of the training, or as `load_text`.
    """
    every = list(dict.fromkeys(words for said in phrases.values() for words in said))
    own = list(run.model.classes)
    # A word of the user's may be called as a class of the run, whose display name is another.
    shown = {f"{i}": run.model.display_names.get(label, label) for i, label in enumerate(own)}
    shown |= {f"+{i}": words for i, words in enumerate(every)}
    if source.endswith(".npy"):
        tower = load_text(source, every, display_names={words: words for words in every})
        features = tower.plain_features()
    else:
        text = text_of(run.config, source, tuple(shown), shown, load_text)
        assert isinstance(text, PromptedTextEncoder)
        features = _prompted(run, tensors, text, source)[len(own) :]
    if features.shape[1] != (dim := run.model.branch(READER).dim):
        cause = f"text features have dimension {features.shape[1]}, those of the run {dim}"
        raise DuetalError(cause, file=Path(source), place="text encoder")
    unit = dict(zip(every, F.normalize(features, dim=-1), strict=True))
    means = [torch.stack([unit[words] for words in said]).mean(0) for said in phrases.values()]
    return F.normalize(torch.stack(means), dim=-1)


@torch.no_grad()
def _prompted(
    run: Run, tensors: Mapping[str, Tensor], text: PromptedTextEncoder, source: str
) -> Tensor:
    """The features of all names that an encoder, its prompts as they started, was made with."""
    started, known = text(), tensors["initial_text"]
    same = started.shape[1] == known.shape[1]
    if not same or not torch.allclose(started[: len(known)], known, atol=1e-3, rtol=1e-2):
        cause = "is not the text encoder that the run was trained with"
        raise DuetalError(cause, file=Path(source), place="text encoder")
    if "text.prompts" in tensors:
        text.prompts.copy_(tensors["text.prompts"])
    learnt: Tensor = text()
    return text.plain() + learnt - started if run.config.vlp.zero_shot_start else learnt


def _with_foreground(
    run: Run,
    by_words: Scorer,
    classifier: BranchNetwork,
    classes: Sequence[str],
    dataset: Dataset,
    device: torch.device,
) -> Scorer:
    """VLP's scores together with CBP's: of its own class, of any other its foreground-ness."""
    stream = fitting_stream(run, CLASSIFIER, dataset)
    by_class = branch_scorer(classifier, stream, CLASSIFIER, run.config, device)
    columns = {label: column for column, label in enumerate(run.model.classes)}

    def score(name: str) -> VideoScores:
        words, known = by_words(name), by_class(name)
        curves = np.repeat(known.snippets.max(axis=1, keepdims=True), len(classes), axis=1)
        video = np.array(words.video, dtype=np.float32)
        for column, label in enumerate(classes):
            if label in columns:
                curves[:, column] = known.snippets[:, columns[label]]
                video[column] = known.video[columns[label]]
        branches: dict[str, Singles] = {CLASSIFIER: curves, READER: words.snippets}
        settings = run.config.localization
        return VideoScores(
            combine_branches(branches, settings, name=name),
            combine_branches({CLASSIFIER: video, READER: words.video}, settings, name=name),
            branches,
        )

    return score
