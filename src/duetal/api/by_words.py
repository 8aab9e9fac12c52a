"""Words that name classes, checked, and localization by them alone."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from duetal.api.given_scores import class_names
from duetal.api.trained_run import Classes, PathLike, localize_from
from duetal.core.annotations import display_name
from duetal.core.detections import Detections
from duetal.core.errors import UsageError
from duetal.core.extras import naming_extras
from duetal.core.name_matching import plain

#: Classes are compared with one another, and each is a curve of every video.
MOST_CLASSES = 1000


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


def class_phrases(classes: Classes) -> dict[str, tuple[str, ...]]:
    """The phrasings of each class, by its name; its display name is the first of them.

    `classes` are names: in a sequence, in a text file with one a line, or separated by commas. A
    name may be followed by other words for it, separated by `|`. Or they are phrasings by name.

    Raises:
        UsageError: a name or phrasing that is empty, two that are equal but for case, accents' form
            and what stands between words, or too many classes.
        DuetalError: a file that can't be read, or names no class.
    """
    if isinstance(classes, Mapping):
        given = {str(name): tuple(map(str, said)) for name, said in classes.items()}
    else:
        lines = [tuple(part.strip() for part in n.split("|")) for n in class_names(classes)]
        given = {said[0]: said[1:] for said in lines}
        if len(given) < len(lines):
            names = [said[0] for said in lines]
            twice = next(name for name in names if names.count(name) > 1)
            raise UsageError(f"the class {_short(twice)} is named twice", place="classes")
    if not given:
        raise UsageError("no class is named", place="classes")
    if len(given) > MOST_CLASSES:
        cause = f"{len(given):,} classes are named; {MOST_CLASSES:,} at once are the most"
        raise UsageError(cause, place="classes")
    seen: dict[str, str] = {}
    phrases: dict[str, tuple[str, ...]] = {}
    for name, said in given.items():
        if not plain(name):
            raise UsageError("a class has no name", place="classes")
        own = {plain(words): words for words in (display_name(name), *said)}
        if "" in own:
            raise UsageError(f"the class {_short(name)} has an empty phrasing", place="classes")
        for words in (plain(name), *own):
            if (other := seen.setdefault(words, name)) != name:
                cause = f"the classes {_short(other)} and {_short(name)} are the same words"
                raise UsageError(cause, place="classes")
        phrases[name] = tuple(own.values())
    return phrases


def _short(name: str) -> str:
    """A name in quotes, its middle left out where it is long."""
    return repr(name if len(name) <= 60 else f"{name[:40]} … {name[-15:]}")
