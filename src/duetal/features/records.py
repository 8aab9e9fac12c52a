"""What a feature store says of its features: the settings they share, and a record per video."""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

import duetal

#: What a store's settings say of weights for the reader alone: the hash tells whether two differ.
_FOR_THE_READER = frozenset({"name", "licence"})

#: The settings of a store: JSON values, nested.
Settings = Mapping[str, Any]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class VideoRecord(_Record):
    """How the features of one video came about. Its presence says that they are complete.

    Args:
        name: of the video.
        source: the path or URL of the video file.
        sha256: of the video file, in hexadecimal.
        size: bytes of the video file.
        frames: N, frames of the time grid that were decoded.
        source_frames: pictures in the file.
        duration: seconds of the video.
        snippets: T, rows of each feature array.
        widths: C of each modality.
        notes: what was wrong with the video and could be mended, one line each.
        settings: of the store.
        versions: of the programs that made the features.
        seconds: that each stage of the pipeline worked on the video.
    """

    name: str
    source: str
    sha256: str
    size: Annotated[int, Field(ge=0)]
    frames: Annotated[int, Field(gt=0)]
    source_frames: Annotated[int, Field(gt=0)]
    duration: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    snippets: Annotated[int, Field(gt=0)]
    widths: dict[str, int]
    notes: tuple[str, ...] = ()
    settings: dict[str, Any]
    versions: dict[str, str]
    seconds: dict[str, float]


class Failure(_Record):
    """Why the features of one video could not be made.

    Args:
        name: of the video.
        source: the path or URL of the video file, or several where they claim the same name.
        reason: one line.
    """

    name: str
    source: str
    reason: str


def differing(stored: Settings, wanted: Settings) -> dict[str, tuple[Any, Any]]:
    """The settings that differ, by dotted name: the stored value and the wanted one.

    What only serves the reader, such as the name that weights were given, is not compared.
    """
    old, new = _flat(stored), _flat(wanted)
    keys = dict.fromkeys((*old, *new))
    return {key: (old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)}


def settings_hash(settings: Settings) -> str:
    """A hash of all settings that `differing` compares."""
    text = json.dumps(_flat(settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _flat(settings: Settings, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif not (prefix and key in _FOR_THE_READER):
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat


@cache
def versions() -> Mapping[str, str]:
    """The versions of the programs that features depend on."""
    import av

    found = {"duetal": duetal.__version__}
    for package in ("av", "numpy", "torch", "transformers"):
        found[package] = importlib.metadata.version(package)
    for library in ("libavcodec", "libavformat", "libswscale"):
        found[library] = ".".join(map(str, av.library_versions[library]))
    return found
