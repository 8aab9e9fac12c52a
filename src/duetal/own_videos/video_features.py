"""Features of raw videos, made exactly as those that a run was trained on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from duetal.backbones import BACKBONES
from duetal.backbones.presets import OPTIONS, PRESETS, choose, known_record
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import is_url
from duetal.datasets import Dataset, open_dataset
from duetal.datasets.layouts import chosen_by
from duetal.extraction.sources import Failure
from duetal.extraction.store import (
    Store,
    branch_streams,
    open_store,
    settings_read,
    text_encoder,
)
from duetal.features.metadata import SETTINGS_FILE, Settings, differing
from duetal.runs.run import Run
from duetal.runs.stage_scoring import final_weights

if TYPE_CHECKING:
    # They import PyAV and the backbones, which training does not need.
    from duetal.backbones.tuned_weights import TunedWeights
    from duetal.extraction.extraction_settings import ExtractionSettings
    from duetal.extraction.missing import Plan
    from duetal.extraction.pipeline import Extractor
    from duetal.extraction.sources import Found

#: What weights can be named of: features by their name, or those of a branch.
MODALITIES = (*dict.fromkeys((*(record.name for record in BACKBONES), *PRESETS)), *OPTIONS)
#: Extracts what a store lacks: `extract_missing`, or one that shows its progress.
Extract = Callable[["Plan", Store, "Extractor"], tuple[Failure, ...]]


def local_store(place: str) -> Path:
    """The folder of a store that features are read from; a UsageError if it is a URL."""
    if is_url(place):
        raise UsageError("--features: must be a local folder", file=place)
    return Path(place)


def fill_store(
    found: "Found",
    place: Path,
    make_extractor: Callable[[], "Extractor"],
    *,
    check: Callable[[Store], object] = lambda store: None,
    extract: Extract | None = None,
    reuse: bool = True,
) -> tuple[Store, tuple[Failure, ...]]:
    """Extract the features of some videos that a store lacks.

    The store is the folder `place`, made where it is not there; `check` is called with one that is.
    Where it has all features, no network is loaded: `make_extractor` is called if something is
    missing, or if not `reuse`, and must fit the store.

    Returns:
        The store; which videos have no features, and why.
    """
    from duetal.extraction.missing import extract_missing, plan

    if reuse and (place / SETTINGS_FILE).is_file():
        with open_store(place) as store:
            check(store)
            planned = plan(found, store, retry_failed=True)
            if not planned.todo:
                return store, (*planned.unusable, *planned.failures)
    extractor = make_extractor()
    with open_store(place, extractor.store_settings) as store:
        planned = plan(found, store, retry_failed=True)
        return store, (extract or extract_missing)(planned, store, extractor)


def open_features(run: Run | None, store: Path) -> Dataset:
    """A store as a dataset of what a run reads, or words are compared with; raises as opening."""
    if run is None:
        return open_dataset(store)
    features = run.model.features
    choice = chosen_by(branch_streams(features)) if features else run.config.data.choice
    return open_dataset(store, choice=choice)


def extraction_settings(
    run: Run, weights: Mapping[str, str], place: Path | None = None
) -> "ExtractionSettings":
    """The settings that make the features a run was trained on; `weights` as in `prepare_videos`.

    A store that is at `place` may hold others beside them, which are made too.

    Raises:
        UsageError: weights of a modality that the run does not read; none where they are not
            recorded, or where they are gone.
        DuetalError: a record of another version of duetal, or damaged.
    """
    weights = _by_stream(run, weights)
    if run.model.features:
        tuned = final_weights(run)
        file = run.folder.model_file
        settings = _recorded(run.model.features, weights, file, "features", tuned)
        if place is not None and (place / SETTINGS_FILE).is_file():
            file = place / SETTINGS_FILE
            settings = _recorded(open_store(place).settings, weights, file, tuned=tuned)
    else:
        settings = _assumed(run, weights)
    for name in set(weights).difference(record.name for record in settings.backbones):
        raise UsageError(f"{known_record(name).option}: the run reads no {name} features")
    for record in settings.backbones:
        source = settings.sources[record.name]
        # A run that was published holds of local weights only what their file was called.
        if not (record.name in weights or Path(source).exists() or record.is_published(source)):
            cause = f"the weights of the run's {record.name} features are no longer at {source}"
            raise UsageError(f"{record.option} must name their new location: {cause}")
    return settings


def _recorded(
    stored: Settings,
    weights: Mapping[str, str],
    file: Path,
    place: str | None = None,
    tuned: "Mapping[str, TunedWeights]" = MappingProxyType({}),
) -> "ExtractionSettings":
    """The settings that a file records; a DuetalError if of another version, or damaged."""
    from duetal.extraction.extraction_settings import ExtractionSettings

    try:
        return ExtractionSettings.recorded(stored, weights, tuned=tuned)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        cause = f"features made in a way that this duetal does not support: {error}"
        raise DuetalError(cause, file=file, place=place) from error


def _by_stream(run: Run, weights: Mapping[str, str]) -> dict[str, str]:
    """Weights by the name of their features, where some are named by their branch."""
    features = run.model.features or {}
    found = {}
    for name, source in weights.items():
        if name in OPTIONS:
            read = [one for one in features.get("modalities", ()) if one in PRESETS]
            read = [one for one in read if features[one].get("branch") == name]
            if len(read) != 1:
                cause = f"the run's {name} features are not of one model of `transformers`"
                raise UsageError(f"{OPTIONS[name]}: {cause}")
            name = read[0]
        found[name] = source
    return found


def _assumed(run: Run, weights: Mapping[str, str]) -> "ExtractionSettings":
    """The field's usual settings, assumed of features without a record."""
    from duetal.extraction.extraction_settings import ExtractionSettings

    read = {branch.name for branch in run.model.branches}
    needed = [record for record in BACKBONES if record.branch in read]
    missing = [record.option for record in needed if record.name not in weights]
    if missing:
        raise UsageError(
            f"the run was trained on features without a record of how they were made, so "
            f"{', '.join(missing)} must name the weights to make them with"
        )
    return ExtractionSettings.usual(needed, weights=weights, grid=run.model.grid)


def settings_for_words(weights: Mapping[str, str], place: Path | None) -> "ExtractionSettings":
    """The settings of features that words are compared with; those of a store that is at `place`.

    Of the backbones whose `branch` is VLP's it is the one that `weights` names, or the first.

    Raises:
        UsageError: weights of another backbone, or of several.
        DuetalError: a store's record of another version of duetal, or damaged.
    """
    from duetal.extraction.extraction_settings import ExtractionSettings

    if place is not None and (place / SETTINGS_FILE).is_file():
        return _recorded(open_store(place).settings, weights, place / SETTINGS_FILE)
    readers = {record.name: record for record in BACKBONES if record.branch == "vlp"}
    options = {name: OPTIONS.get(name) or known_record(name).option for name in weights}
    for name in set(weights).difference(readers, ["vlp"]):
        raise UsageError(f"{options[name]}: words are compared with no {name} features")
    if len(weights) > 1:
        told = " and ".join(options.values())
        raise UsageError(f"{told}: words are compared with the features of one model")
    if "vlp" in weights:
        return ExtractionSettings.usual(choose(weights["vlp"], "vlp"), weights={})
    chosen = readers[next(iter(weights), next(iter(readers)))]
    return ExtractionSettings.usual([chosen], weights=weights)


def require_text(store: Store, place: Path) -> None:
    """Check that a store has features that words can be compared with; a UsageError if not."""
    if text_encoder(store.settings) is None:
        cause = "the store has no vision-language features, which words are compared with"
        raise UsageError(cause, file=place)


def require_same(run: Run, settings: Settings, place: Path | None = None) -> None:
    """Check that features are made with the settings of those that a run was trained on.

    A run without a record of its features agrees with all. `place` is the store that the features
    are in; None where they are yet to be made.

    Raises:
        UsageError: they differ; names the weights, or the other settings.
    """
    if run.model.features is None:
        return
    read = branch_streams(run.model.features)
    features = settings_read(run.model.features, read) or run.model.features
    settings = settings_read(settings, read) or settings
    differences = differing(features, settings)
    for modality in features["modalities"]:
        if f"{modality}.sha256" in differences and place is None:
            record = known_record(modality, features[modality])
            old, new = differences[f"{modality}.sha256"]
            name = features.get(modality, {}).get("name")
            raise UsageError(
                f"{record.option}: other weights than those that the run was trained with: "
                f"{settings[modality]['name']} has the sha256 {new}, {name} had {old}"
            )
    if differences:
        changes = (f"{key} was {old}, is {new}" for key, (old, new) in differences.items())
        cause = f"not the features that the run was trained on: {'; '.join(changes)}"
        raise UsageError(cause, file=place)
