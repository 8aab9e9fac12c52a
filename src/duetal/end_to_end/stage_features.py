"""The features that a stage of a run reads, where its backbones were trained.

RUN/tuned/<stage>/    a store of the features of all videos of the data set, by the weights of then
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from duetal.backbones.tuned_weights import TunedWeights
from duetal.core.errors import DuetalError
from duetal.features.metadata import Settings, read_settings, recorded
from duetal.features.places import Place
from duetal.features.streams import FeaturePart, FeatureStream, open_part

if TYPE_CHECKING:
    from torch import Tensor

#: Of the weights of a backbone in a branch's checkpoint.
_PREFIX = "backbone."


def tuned_weights(tensors: "Mapping[str, Tensor]") -> dict[str, TunedWeights]:
    """What was trained of each backbone, by the name of its features.

    `tensors` are those of a `BranchBackbone`, or of a checkpoint of a branch that has one.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, slash, path = key.removeprefix(_PREFIX).partition("/")
        if slash:
            found.setdefault(name, {})[path.replace("/", ".")] = tensor
    return {name: TunedWeights(own) for name, own in found.items()}


def with_tuned(settings: Settings, tuned: Mapping[str, TunedWeights]) -> dict[str, object]:
    """The settings of a store whose backbones have been trained: it knows them by their hash."""
    hashes = {name: {"tuned": weights.sha256} for name, weights in tuned.items()}
    return {
        key: {**value, **hashes[key]} if key in hashes else value for key, value in settings.items()
    }


def with_parts(stream: FeatureStream, store: Path, names: Collection[str]) -> FeatureStream:
    """A stream with the features of some backbones taken from another store."""
    parts = [
        open_part(part.title, [store / "features" / part.place.name])
        if part.place.name in names
        else part
        for part in stream.parts
    ]
    return FeatureStream(stream.title, parts)


def stage_stream(
    stream: FeatureStream, tensors: "Mapping[str, Tensor]", store: Path, stage: str
) -> FeatureStream:
    """The stream of a data set as a stage reads it: by the backbones that it was trained with.

    `tensors` are those of its checkpoint, `store` the folder of the features that training kept.
    What the data set has of the same weights is read as it is.

    Raises:
        DuetalError: features of other weights, and none of these videos were kept.
    """
    tuned = tuned_weights(tensors)
    other = [
        part
        for part in stream.parts
        if part.place.name in tuned and _hash_of(part) != tuned[part.place.name].sha256
    ]
    if not other:
        return stream
    kept = (
        with_parts(stream, store, [part.place.name for part in other]) if store.is_dir() else None
    )
    for name in stream.names():
        same = kept is not None and name in kept.names()
        if not same or not _is_same_video(name, other[0], store):
            cause = f"not by the backbone that {stage} was trained with; localize the videos "
            cause += "themselves, with the stage that the run uses"
            raise DuetalError(cause, file=other[0].place, place=f"features of video {name!r}")
    assert kept is not None
    return kept


def _hash_of(part: FeaturePart) -> str | None:
    """The hash of what was trained of the weights that made a part's features."""
    with suppress(DuetalError):
        known = read_settings(Place(part.place.parent.parent)).get(part.place.name)
        return known.get("tuned") if isinstance(known, Mapping) else None
    return None


def _is_same_video(name: str, part: FeaturePart, store: Path) -> bool:
    here, kept = recorded(part.place, name), recorded(store / "features" / part.place.name, name)
    return here is not None and kept is not None and here.sha256 == kept.sha256
