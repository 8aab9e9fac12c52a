"""Raw videos for a trained run: which inputs they are, and their features."""

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import is_url
from duetal.core.url_paths import UrlPath
from duetal.core.video_names import VIDEO_SUFFIXES
from duetal.datasets.layouts import find_pieces
from duetal.extraction import sources
from duetal.extraction.sources import Failure, Video, find_videos
from duetal.extraction.store import Store
from duetal.own_videos import video_features
from duetal.runs.score_source import Source

if TYPE_CHECKING:
    from duetal.extraction.pipeline import Extractor

UNVERIFIABLE = (
    "the run was trained on features without a record of how they were made; "
    "whether those of the videos match them cannot be verified"
)
_YAML_SUFFIXES = (".yaml", ".yml")


def is_dataset(inputs: Sequence[str]) -> bool:
    """Whether the inputs are one dataset; otherwise they are videos.

    An input that is neither is taken for a dataset, whose opening reports what is missing.

    Raises:
        UsageError: a dataset among other inputs, or a folder that is both.
    """
    if len(inputs) == 1 and is_url(inputs[0]):
        return _is_remote_dataset(UrlPath(inputs[0]))
    datasets = [name for name in inputs if _could_be_dataset(name)]
    if datasets and len(inputs) > 1:
        cause = "is a dataset, or nothing; give one dataset, or videos alone"
        raise UsageError(cause, file=datasets[0])
    return bool(datasets)


def _is_remote_dataset(place: UrlPath) -> bool:
    """Whether a URL is a dataset; what can't be listed, as most of the web, is taken for videos."""
    if place.suffix.lower() in _YAML_SUFFIXES:
        return True
    if glob.has_magic(str(place)) or place.suffix.lower() in (*VIDEO_SUFFIXES, sources.LIST_SUFFIX):
        return False
    try:
        return place.is_dir() and _has_features(place)
    except DuetalError:
        return False


def _could_be_dataset(name: str) -> bool:
    path = Path(name)
    if is_url(name) or path.suffix.lower() in (*VIDEO_SUFFIXES, sources.LIST_SUFFIX):
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


def prepare_videos(
    source: Source,
    inputs: Sequence[str],
    store: Path,
    weights: Mapping[str, str],
    *,
    accelerator: str = "auto",
    without: Path | None = None,
    extract: video_features.Extract | None = None,
    stream: int | None = None,
    damaged: bool = False,
) -> tuple[dict[str, Video], tuple[Failure, ...]]:
    """Fill a store with the features that a source needs of raw videos; see `fill_store`.

    Without a run these are the features that words are compared with; the words are read first.

    `inputs` are files, folders, lists, patterns and URLs, see `find_videos`; the folder `without`
    is not searched; `stream` and `damaged` are those of `Video`. `weights` are the present paths of
    the backbones' weights, by modality; by default those of the features that the run was trained
    on. `accelerator` is "auto", "cpu", "cuda" or "mps".

    Returns:
        The videos whose features are in the store, by name; the others, with the reasons.

    Raises:
        UsageError: weights, or a store, other than those that the run was trained on; weights that
            are not named and not recorded.
        DuetalError: no video there, weights that can't be read, a store that can't be written.
    """
    run = source.run
    found = find_videos(inputs, without=without, stream=stream, damaged=damaged)

    def make_extractor() -> "Extractor":
        return open_extractor(source, weights, store, accelerator)

    def check(known: Store) -> None:
        if run is None:
            video_features.require_text(known, store)
        else:
            video_features.require_same(run, known.settings, store)

    _, failures = video_features.fill_store(
        found, store, make_extractor, check=check, extract=extract
    )
    failed = {failure.name for failure in failures}
    videos = {v.name: v for v in found.videos if sources.readable(v.name) not in failed}
    return videos, failures


def open_extractor(
    source: Source,
    weights: Mapping[str, str],
    store: Path | None,
    accelerator: str,
    **how: Any,
) -> "Extractor":
    """What makes the features that a source needs; arguments and errors as of `prepare_videos`.

    A store may be there already; None where there will be none. `how` goes on to `Extractor`.
    """
    from duetal.extraction.pipeline import Extractor

    # Extraction supports no other accelerator.
    how["device"] = accelerator if accelerator in ("auto", "cuda") else "cpu"
    if source.run is None:
        settings = video_features.settings_for_words(weights, store)
        read = next(one.name for one in settings.backbones if one.branch == "vlp")
        source.read_words(settings.sources[read])
        return Extractor(settings, **how)
    settings = video_features.extraction_settings(source.run, weights, store)
    extractor = Extractor(settings, **how)
    video_features.require_same(source.run, extractor.store_settings)
    return extractor
