"""CLIP features of videos made as long as the features of a dataset, and put beside them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from duetal.core.errors import DuetalError
from duetal.core.files import replacing
from duetal.core.outputs import refuse_existing
from duetal.datasets.layouts import find_pieces
from duetal.datasets.opening import open_streams, read_labelling
from duetal.datasets.problems import raise_fatal
from duetal.features.streams import FeaturePart, FeatureStream, open_part


@dataclass(frozen=True)
class Fitted:
    """What was written, and for how many videos."""

    folder: Path  #: Of the new features.
    videos: int
    longer: int  #: Videos whose last row was repeated.
    shorter: int  #: Videos whose last rows were left out.
    missing: tuple[str, ...]  #: The dataset's videos of which the source has no features.


def fit_features(source: Path, dataset: Path, *, most: int = 2, force: bool = False) -> Fitted:
    """Copy CLIP features into `features/clip` of a dataset, as many rows as its own features have.

    Programs decode a video's end differently: a missing row is the last one repeated, a row too
    many is left out. Nothing is written before the lengths of all videos are found to be near.

    Args:
        source: a feature store, or its folder or file of CLIP features.
        dataset: whose CBP features give the number of rows, in any layout.
        most: rows that may be missing or too many; more is another grid or another video.
        force: replace features that are there.

    Raises:
        DuetalError: features that can't be read, of no video of the dataset, or of another length.
        UsageError: features are there already.
    """
    folder = (dataset if dataset.is_dir() else dataset.parent) / "features" / "clip"
    stream = _own_features(dataset)
    place = source / "features" / "clip"
    part = open_part("clip", [place if place.is_dir() else source])
    names = [name for name in stream.names() if name in part.entries]
    if not names:
        cause = f"no features of its videos: {next(iter(part.entries))!r} is not among them"
        raise DuetalError(cause, file=part.place)
    added = {name: stream.length(name) - _length_near(part, name, stream, most) for name in names}
    targets = {name: folder / f"{name}.npy" for name in names}
    for name, target in targets.items():
        refuse_existing(target, [part.entries[name].path], force=force)
    for name, target in targets.items():
        array = part.open(name)
        rows = array.rows(0, array.header.length)
        kept = rows[np.minimum(np.arange(stream.length(name)), len(rows) - 1)]
        with replacing(target) as temporary, temporary.open("wb") as file:
            np.save(file, kept)
    return Fitted(
        folder,
        len(names),
        sum(rows > 0 for rows in added.values()),
        sum(rows < 0 for rows in added.values()),
        tuple(name for name in stream.names() if name not in targets),
    )


def _own_features(dataset: Path) -> FeatureStream:
    """The CBP features of a dataset; CLIP features that are there take no part."""
    pieces = find_pieces(dataset)
    pieces = replace(pieces, streams={"cbp": pieces.streams["cbp"]})
    _, streams = open_streams(pieces, read_labelling(pieces, raise_fatal), raise_fatal)
    return streams["cbp"]


def _length_near(part: FeaturePart, name: str, stream: FeatureStream, most: int) -> int:
    """Rows of a video's new features; an error where they are far from the dataset's own."""
    array, wanted = part.open(name), stream.length(name)
    if abs(array.header.length - wanted) > most:
        cause = f"{array.header.length:,} rows, but {stream.path(name)} has {wanted:,}: more than "
        cause += f"{most} apart is another grid or another video"
        raise DuetalError(cause, file=array.path, place=f"video {name!r}")
    return array.header.length
