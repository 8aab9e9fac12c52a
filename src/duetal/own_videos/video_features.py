"""Features of raw videos, made exactly as those that a run was trained on."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duetal.backbones import BACKBONES
from duetal.core.errors import DuetalError, UsageError
from duetal.extraction.sources import Failure
from duetal.extraction.store import Store, open_store
from duetal.features.metadata import SETTINGS_FILE, Settings, differing
from duetal.features.places import is_url
from duetal.runs.run import Run

if TYPE_CHECKING:
    # They import PyAV and the backbones, which training does not need.
    from duetal.extraction.missing import Plan
    from duetal.extraction.pipeline import ExtractionSettings, Extractor
    from duetal.extraction.sources import Found

_KNOWN = {record.name: record for record in BACKBONES}
#: The option that names the weights of a backbone.
OPTIONS = {record.name: record.option for record in BACKBONES}

#: Extracts what a store lacks: `extract_missing`, or one that shows its progress.
Extract = Callable[["Plan", Store, "Extractor"], tuple[Failure, ...]]


def local_store(place: str) -> Path:
    """The folder of a store that features are read from, and not only written to.

    Raises:
        UsageError: a URL.
    """
    if is_url(place):
        raise UsageError("--features: must be a local folder", file=place)
    return Path(place)


def extract_for(
    run: Run,
    found: "Found",
    place: Path,
    weights: Mapping[str, str],
    *,
    device: str = "auto",
    extract: Extract | None = None,
) -> tuple[Failure, ...]:
    """Fill a store with the features that a run needs of some videos; see `fill_store`.

    `weights` are the present paths of the backbones' weights, by modality; by default those of the
    features that the run was trained on.

    Returns:
        Which videos have no features, and why.

    Raises:
        UsageError: weights, or a store, other than those that the run was trained on; weights that
            are not named and not recorded.
        DuetalError: weights that can't be read, or a store that can't be written.
    """

    def make_extractor() -> "Extractor":
        from duetal.extraction.pipeline import Extractor

        extractor = Extractor(extraction_settings(run, weights), device=device)
        require_same(run, extractor.store_settings)
        return extractor

    def check(store: Store) -> None:
        require_same(run, store.settings, place)

    return fill_store(found, place, make_extractor, check=check, extract=extract)[1]


def fill_store(
    found: "Found",
    place: Path,
    make_extractor: Callable[[], "Extractor"],
    *,
    check: Callable[[Store], object] | None = None,
    extract: Extract | None = None,
    reuse: bool = True,
) -> tuple[Store, tuple[Failure, ...]]:
    """Extract the features of some videos that a store lacks.

    Where it has all of them, no network is loaded.

    Args:
        found: the videos.
        place: the store; made where it is not there.
        make_extractor: called if something is missing.
        check: called with the store if it is there.
        extract: how to extract what is missing.
        reuse: False: the extractor is made in any case, and must fit the store.

    Returns:
        The store; which videos have no features, and why.
    """
    from duetal.extraction.missing import extract_missing, plan

    if reuse and (place / SETTINGS_FILE).is_file():
        with open_store(place) as store:
            if check is not None:
                check(store)
            planned = plan(found, store, retry_failed=True)
            if not planned.todo:
                return store, (*planned.unusable, *planned.failures)
    extractor = make_extractor()
    with open_store(place, extractor.store_settings) as store:
        planned = plan(found, store, retry_failed=True)
        return store, (extract or extract_missing)(planned, store, extractor)


def extraction_settings(run: Run, weights: Mapping[str, str]) -> "ExtractionSettings":
    """The settings that make the features a run was trained on; `weights` as in `extract_for`.

    Raises:
        UsageError: weights of a modality that the run does not read; none where they are not
            recorded, or where they are gone.
        DuetalError: a record of another version of duetal, or damaged.
    """
    from duetal.extraction.pipeline import ExtractionSettings

    known = run.model.features or _assumed(run, weights)
    for name in set(weights).difference(known.get("modalities", ())):
        raise UsageError(f"{_KNOWN[name].option}: the run reads no {name} features")
    try:
        settings = ExtractionSettings.recorded(known, weights)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        cause = f"features made in a way that this duetal does not support: {error}"
        raise DuetalError(cause, file=run.folder.model_file, place="features") from error
    for record in settings.backbones:
        source = settings.sources[record.name]
        # A run that was published holds of local weights only what their file was called.
        if not (record.name in weights or Path(source).exists() or record.is_published(source)):
            cause = f"the weights of the run's {record.name} features are no longer at {source}"
            raise UsageError(f"{record.option} must name their new location: {cause}")
    return settings


def _assumed(run: Run, weights: Mapping[str, str]) -> dict[str, Any]:
    """The field's usual settings, assumed of features without a record."""
    from duetal.extraction.pipeline import ExtractionSettings

    read = {branch.name for branch in run.model.branches}
    needed = [record for record in BACKBONES if record.branch in read]
    missing = [record.option for record in needed if record.name not in weights]
    if missing:
        raise UsageError(
            f"the run was trained on features without a record of how they were made, so "
            f"{', '.join(missing)} must name the weights to make them with"
        )
    usual = ExtractionSettings.usual(needed)
    return {
        "grid": asdict(run.model.grid),
        "short_side": usual.short_side,
        "crop": usual.crop,
        "modalities": [record.name for record in needed],
        "dtype": usual.dtype,
    }


def require_same(run: Run, settings: Settings, place: Path | None = None) -> None:
    """Check that features are made with the settings of those that a run was trained on.

    A run without a record of its features agrees with all. `place` is the store that the features
    are in; None where they are yet to be made.

    Raises:
        UsageError: they differ; names the weights, or the other settings.
    """
    if run.model.features is None:
        return
    differences = differing(run.model.features, settings)
    for modality, record in _KNOWN.items():
        if f"{modality}.sha256" in differences and place is None:
            old, new = differences[f"{modality}.sha256"]
            name = run.model.features.get(modality, {}).get("name")
            raise UsageError(
                f"{record.option}: other weights than those that the run was trained with: "
                f"{settings[modality]['name']} has the sha256 {new}, {name} had {old}"
            )
    if differences:
        changes = (f"{key} was {old}, is {new}" for key, (old, new) in differences.items())
        cause = f"not the features that the run was trained on: {'; '.join(changes)}"
        raise UsageError(cause, file=place)
