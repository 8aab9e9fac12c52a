"""Giving raw videos the features that a run was trained on: made in the same way, or not at all."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duetal.backbones.records import records
from duetal.core.errors import DuetalError, UsageError
from duetal.core.grid import TimeGrid
from duetal.features.places import is_url
from duetal.features.records import Failure, Settings, differing
from duetal.features.store import SETTINGS_FILE, Store, open_store
from duetal.features.streams import FeatureStream
from duetal.runs.folder import Run

if TYPE_CHECKING:
    # They bring PyAV and the backbones, which training has no use for.
    from duetal.features.extraction import ExtractionSettings, Extractor
    from duetal.features.missing import Plan
    from duetal.features.sources import Found

#: The option that names the weights of a modality.
OPTIONS = {"rgb": "--i3d-rgb", "flow": "--i3d-flow", "clip": "--clip"}
#: Pixels of the square that I3D sees, where a store without I3D says nothing of it.
_CROP = 224

#: Extracts what a store lacks: `extract_missing`, or one that shows how it goes on.
Extract = Callable[["Plan", Store, "Extractor"], tuple[Failure, ...]]


def recorded_settings(cbp: FeatureStream, vlp: FeatureStream | None) -> dict[str, Any] | None:
    """How the features of a dataset were made, as the store that they lie in says.

    Returns:
        The store's settings, of the modalities that are read; None where the features are in no
        store, or are put together otherwise than a store's are.

    Raises:
        DuetalError: the store's settings are damaged.
    """
    read = [[part.place.name for part in stream.parts] for stream in (cbp, vlp) if stream]
    places = {part.place.parent.parent for stream in (cbp, vlp) if stream for part in stream.parts}
    folder = places.pop()
    if places or not (folder / SETTINGS_FILE).is_file():
        return None
    settings = dict(open_store(folder).settings)
    used = [name for name in settings["modalities"] if any(name in names for names in read)]
    motion = [name for name in used if name != "clip"]
    if read != [motion or ["clip"], *([["clip"]] if "clip" in used else [])]:
        return None
    unused = {*OPTIONS, *([] if "flow" in used else ["flow_engine"])}.difference(used)
    kept = {key: value for key, value in settings.items() if key not in unused}
    return kept | {"modalities": used}


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
    """See to it that a store has the features that a run needs of some videos.

    A store that has all of them is left as it is, and no network is loaded.

    Args:
        run: a trained run.
        found: the videos.
        place: the store; made where it is not there.
        weights: where the backbones' weights lie now, by modality; those left out lie where they
            did when the features were made that the run was trained on.
        device: where to compute.
        extract: how to extract what is missing.

    Returns:
        Which videos have no features, and why.

    Raises:
        UsageError: weights, or a store, other than those that the run was trained on; weights that
            are not named and not recorded.
        DuetalError: weights that can't be read, or a store that can't be written.
    """
    from duetal.features.extraction import Extractor
    from duetal.features.missing import extract_missing, plan

    if (place / SETTINGS_FILE).is_file():
        with open_store(place) as store:
            require_same(run, store.settings, place)
            planned = plan(found, store, retry_failed=True)
            if not planned.todo:
                return (*planned.unusable, *planned.failures)
    extractor = Extractor(extraction_settings(run, weights), device=device)
    require_same(run, extractor.store_settings)
    with open_store(place, extractor.store_settings) as store:
        planned = plan(found, store, retry_failed=True)
        return (extract or extract_missing)(planned, store, extractor)


def extraction_settings(run: Run, weights: Mapping[str, str]) -> "ExtractionSettings":
    """The settings that make the features a run was trained on.

    Args:
        run: a trained run.
        weights: as for `extract_for`.

    Raises:
        UsageError: weights of a modality that the run does not read; none where they are not
            recorded, or where they are gone.
        DuetalError: a record of another version of duetal, or damaged.
    """
    from duetal.features.extraction import ExtractionSettings
    from duetal.video.flow.interface import FlowName, TVL1Settings

    known = run.model.features or _assumed(run, weights)
    used = known.get("modalities", ())
    for modality in set(weights).difference(used):
        raise UsageError(f"{OPTIONS[modality]}: the run reads no {modality} features")
    try:
        flow = dict(known.get("flow_engine", {}))
        sources = {m: weights.get(m) or str(known[m]["name"]) for m in used}
        settings = ExtractionSettings(
            grid=TimeGrid(**known["grid"]),
            short_side=known["short_side"],
            crop=known.get("crop", min(_CROP, known["short_side"])),
            flow=FlowName(flow.pop("engine", FlowName.TVL1)),
            flow_settings=TVL1Settings(**flow),
            modalities=tuple(used),
            dtype=known["dtype"],
            **{name if name == "clip" else f"i3d_{name}": sources[name] for name in sources},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        cause = f"features made in a way that this duetal does not know: {error}"
        raise DuetalError(cause, file=run.folder.model_file, place="features") from error
    for modality, source in sources.items():
        if modality not in weights and not _may_be_had(modality, source):
            cause = f"the weights of the run's {modality} features are no longer at {source}"
            raise UsageError(f"{OPTIONS[modality]} has to say where they lie now: {cause}")
    return settings


def _may_be_had(modality: str, source: str) -> bool:
    """Whether a recorded name is a file that is there, or one that weights are published under.

    A run that was published says of local weights only what their file was called.
    """
    if Path(source).exists():
        return True
    if modality == "clip":
        return not Path(source).is_absolute() and "/" in source
    return source in records()


def _assumed(run: Run, weights: Mapping[str, str]) -> dict[str, Any]:
    """What is taken for the settings of features that came from elsewhere: the field's custom."""
    needed = ["rgb", "flow", *(["clip"] if run.model.channels.vlp else [])]
    missing = [OPTIONS[modality] for modality in needed if modality not in weights]
    if missing:
        raise UsageError(
            f"the run was trained on features that do not say how they were made, so "
            f"{', '.join(missing)} must name the weights to make them with"
        )
    grid = run.model.grid
    return {
        "grid": {"fps": grid.fps, "stride": grid.stride, "window": grid.window},
        "short_side": 256,
        "crop": _CROP,
        "modalities": needed,
        "dtype": "float16",
    }


def require_same(run: Run, settings: Settings, place: Path | None = None) -> None:
    """Check that features are made as those were that a run was trained on.

    Args:
        run: a trained run; one that knows nothing of its features agrees with all.
        settings: how the features are made.
        place: the store that they are in; None where they are yet to be made.

    Raises:
        UsageError: they differ; names the weights, or the other settings.
    """
    if run.model.features is None:
        return
    differences = differing(run.model.features, settings)
    for modality, option in OPTIONS.items():
        if f"{modality}.sha256" in differences and place is None:
            old, new = differences[f"{modality}.sha256"]
            name = run.model.features.get(modality, {}).get("name")
            raise UsageError(
                f"{option}: other weights than those that the run was trained with: "
                f"{settings[modality]['name']} has the sha256 {new}, {name} had {old}"
            )
    if differences:
        words = (f"{key} was {old}, is {new}" for key, (old, new) in differences.items())
        cause = f"not the features that the run was trained on: {'; '.join(words)}"
        raise UsageError(cause, file=place)
