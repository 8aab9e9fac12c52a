"""Whether the inputs of `duetal localize` are one dataset, or videos."""

import glob
from collections.abc import Sequence
from pathlib import Path

from duetal.core.errors import DuetalError, UsageError
from duetal.datasets.layouts import find_pieces
from duetal.extraction.sources import LIST_SUFFIX, VIDEO_SUFFIXES, find_videos
from duetal.features.places import is_url

_YAML_SUFFIXES = (".yaml", ".yml")


def is_dataset(inputs: Sequence[str]) -> bool:
    """Whether the inputs are one dataset; otherwise they are videos.

    An input that is neither is taken for a dataset, whose opening reports what is missing.

    Raises:
        UsageError: a dataset among other inputs, or a folder that is both.
    """
    datasets = [one for one in inputs if _could_be_dataset(one)]
    if not datasets:
        return False
    if len(inputs) > 1:
        cause = "is a dataset, or nothing; give one dataset, or videos alone"
        raise UsageError(cause, file=datasets[0])
    return True


def _could_be_dataset(name: str) -> bool:
    path = Path(name)
    if is_url(name) or path.suffix.lower() in (*VIDEO_SUFFIXES, LIST_SUFFIX):
        return False
    if path.suffix.lower() in _YAML_SUFFIXES:
        return True
    if not path.is_dir():
        # A file of any name may be a video; a pattern may find some.
        return not path.exists() and not glob.has_magic(name)
    has_features, has_videos = _has_features(path), _has_videos(path)
    if has_features and has_videos:
        cause = "holds features and videos; name its dataset.yaml, or its videos by a pattern"
        raise UsageError(cause, file=path)
    return has_features or not has_videos


def _has_features(folder: Path) -> bool:
    if any((folder / f"dataset{suffix}").is_file() for suffix in _YAML_SUFFIXES):
        return True
    try:
        find_pieces(folder)
    except DuetalError:
        # Opening the dataset reports what is wrong with it.
        return (folder / "features").is_dir()
    return True


def _has_videos(folder: Path) -> bool:
    try:
        found = find_videos([str(folder)])
    except DuetalError:
        return False
    return bool(found.videos or found.failures)
