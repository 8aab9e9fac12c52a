"""Localization by words alone, as Python uses it."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from duetal.api.class_words import class_phrases
from duetal.api.trained_run import Classes, PathLike, localize_from
from duetal.core.detections import Detections
from duetal.core.extras import naming_extras


@naming_extras()
def localize(
    inputs: PathLike | Sequence[PathLike],
    classes: Classes,
    *,
    text_encoder: PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> Detections:
    """Find actions by their words, without training, as `duetal localize --classes`.

    Args:
        inputs: a dataset with vision-language features, or videos; see `TrainedRun.localize`.
        classes: names, or phrasings by name.
        text_encoder: what reads the words: a folder, a hub name or a `.npy` of class embeddings; by
            default that of the features.
        settings: of localization and of `zero_shot` (docs/settings.md).
        options: `literal`, `subset`, `features`, `weights`, `stream`, `damaged`, `accelerator` and
            `progress` of `TrainedRun.localize`.

    Raises:
        UsageError: words that are empty or alike, or arguments that do not go together.
        DuetalError: nothing there, unreadable, or words too long for the text encoder.
    """
    from duetal.runs.score_source import untrained

    text = None if text_encoder is None else os.fspath(text_encoder)
    source = untrained(class_phrases(classes), settings or {}, text)
    return localize_from(source, inputs, **options)
