"""What stands for the text of the classes: a text encoder, or an array of class embeddings."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from duetal.backbones.text_towers import ClassEmbeddings, TextTokens, load_text_tower
from duetal.core.annotations import display_name
from duetal.core.errors import DuetalError, unknown
from duetal.core.files import read_json, reading
from duetal.core.local_cache import local_model
from duetal.core.npy import DAMAGED

#: Of a file of class embeddings.
_SUFFIX = ".npy"


def load_text(
    source: str,
    classes: Sequence[str],
    *,
    prompts_before: int = 16,
    prompts_after: int = 16,
    display_names: Mapping[str, str] | None = None,
) -> TextTokens | ClassEmbeddings:
    """The text of the classes: a `.npy` file's embeddings, or a tower; see `load_text_tower`."""
    if source.endswith(_SUFFIX):
        return load_class_embeddings(source, classes, display_names or {})
    return load_text_tower(
        source,
        classes,
        prompts_before=prompts_before,
        prompts_after=prompts_after,
        display_names=display_names,
    )


def phrase_features(
    source: str, phrases: Mapping[str, Sequence[str]], templates: Sequence[str]
) -> NDArray[np.float32]:
    """(K, D) unit text features: of each class the mean over its phrasings in every template.

    `{}` of a template stands for a phrasing. An array of class embeddings has only the phrasings.
    Raises as `load_text`.
    """
    given = ["{}"] if source.endswith(_SUFFIX) else templates
    prompts = {
        label: [template.replace("{}", phrase) for phrase in said for template in given]
        for label, said in phrases.items()
    }
    every = list(dict.fromkeys(prompt for said in prompts.values() for prompt in said))
    found = load_text(
        source,
        every,
        prompts_before=0,
        prompts_after=0,
        display_names={prompt: prompt for prompt in every},
    )
    unit = dict(zip(every, F.normalize(found.plain_features(), dim=-1), strict=True))
    means = [torch.stack([unit[prompt] for prompt in said]).mean(0) for said in prompts.values()]
    return np.asarray(F.normalize(torch.stack(means), dim=-1).numpy())


def load_class_embeddings(
    source: str, classes: Sequence[str], display_names: Mapping[str, str]
) -> ClassEmbeddings:
    """The embeddings of some classes, in their order, from an array of any number of them.

    `source` is a `.npy` file (N, D); a `.json` file of the same name beside it lists the N names. A
    class is found by its name or, where there is none of that, by its display name, which an
    embedding's name may stand for: "HighJump" for "high jump".

    Raises:
        DuetalError: unreadable, not a finite (N, D) array, no list of N different names, a class
            that has no embedding, or one of zeros.
    """
    path = Path(local_model(source))
    names = _names(path.with_suffix(".json"))
    array = _array(path)
    if len(array) != len(names):
        cause = f"has {len(array):,} rows, and {path.stem}.json names {len(names):,} classes"
        raise DuetalError(cause, file=path)
    rows = {name: row for row, name in enumerate(names)}
    shown = {display_name(name): row for name, row in rows.items()}
    found = []
    for label in classes:
        said = display_names.get(label, label)
        row = rows.get(label, shown.get(display_name(said)))
        if row is None:
            raise DuetalError(f"no embedding: {unknown('class', label, rows)}", file=path)
        if not np.isfinite(array[row]).all() or not array[row].any():
            raise DuetalError("not finite, or all zeros", file=path, place=f"class {label!r}")
        found.append(row)
    return ClassEmbeddings(torch.from_numpy(array[found]))


def _names(path: Path) -> list[str]:
    names = read_json(path)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DuetalError("expected a list of the embeddings' names", file=path)
    for name in names:
        if names.count(name) > 1:
            raise DuetalError(f"{name!r} is listed twice", file=path)
    return names


def _array(path: Path) -> NDArray[np.float32]:
    with reading(path):
        try:
            array = np.load(path, allow_pickle=False)
        except DAMAGED as error:
            raise DuetalError("not an array of numpy", file=path) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.ndim != 2:
        raise DuetalError("must be a floating-point array (K, D): classes, dimension", file=path)
    return array.astype(np.float32)
