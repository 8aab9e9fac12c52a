"""`duetal train --videos`: from videos and a table of their labels to a dataset, with a summary."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from duetal.core.annotations import Annotations
    from duetal.extraction.sources import Failure, Found
    from duetal.extraction.store import Store
    from duetal.own_videos.labelled_videos import OwnVideos
    from duetal.results.folder import RunFolder

#: Names of videos that are listed where many have the same fault.
_NAMED = 10


@dataclass(frozen=True)
class VideoOptions:
    """The options of the videos to train on.

    Args:
        videos: files, folders, lists, patterns and URLs.
        labels: the table.
        annotations: segments of held-out videos, if somebody marked them.
        store: where features are kept; the run's folder of the dataset unless given.
        extraction: the values of `extraction_options`.
        chosen: whether an option of extraction is given.
    """

    videos: tuple[str, ...]
    labels: Path
    annotations: Path | None
    store: str | None
    extraction: dict[str, Any]
    chosen: bool


def read_options(given: dict[str, Any], typed: Collection[str]) -> VideoOptions | None:
    """The options of the videos, found to go together; None where there are none.

    Args:
        given: values of all options but those of training from a dataset.
        typed: names of the options that are on the command line.

    Raises:
        UsageError: some of them without --videos or without --labels, or a store at a URL.
    """
    from duetal.cli.extraction_options import COMPUTING
    from duetal.core.errors import UsageError
    from duetal.features.places import is_url

    own = {name: given.pop(name) for name in ("videos", "labels", "annotations", "store")}
    if not own["videos"]:
        for name in typed:
            raise UsageError(f"--{name.replace('_', '-')}: is for training from --videos")
        return None
    if own["labels"] is None:
        raise UsageError("--videos: needs --labels, a table of what is in each video")
    if own["store"] is not None and is_url(own["store"]):
        raise UsageError("--store: must be a local folder to train from", file=own["store"])
    chosen = any(name in typed and name not in COMPUTING for name in given)
    return VideoOptions(**own, extraction=given, chosen=chosen)


def make_dataset(
    options: VideoOptions, folder: "RunFolder", *, begun: bool
) -> "tuple[Failure, ...]":
    """Extract what is missing and write the dataset, printing what was found and left out.

    Args:
        options: of the videos.
        folder: the run's.
        begun: whether a run has begun there.

    Returns:
        Labelled videos that can't be trained on, and why.

    Raises:
        DuetalError: nothing to learn from, a table, a store or weights that can't be read.
        UsageError: features of other settings, or other labels than a run began with.
    """
    from duetal.cli.extraction_options import print_failures
    from duetal.core.errors import DuetalError
    from duetal.extraction.sources import find_videos
    from duetal.formats import read_annotations
    from duetal.formats.video_table import read_video_table
    from duetal.own_videos.labelled_videos import annotate, match, require_plan, write_dataset

    strong = None if options.annotations is None else read_annotations(options.annotations)
    found = find_videos(options.videos)
    own = match(read_video_table(options.labels), found, options.labels)
    require_plan(own)
    _report_doubts(own, found)
    place = Path(options.store) if options.store else folder.dataset
    store, failures = _extract(own, place, options)
    failures = (*own.missing, *failures)
    try:
        annotations = annotate(own, store, failures, strong)
    except DuetalError:
        print_failures("failed", failures)
        raise
    write_dataset(folder.dataset, annotations, store, begun=begun)
    _report_split(own, annotations, failures)
    click.echo(f"dataset: {folder.dataset}; its features can be used again with --store {place}")
    return failures


def _extract(
    own: "OwnVideos", place: Path, options: VideoOptions
) -> "tuple[Store, tuple[Failure, ...]]":
    """See to it that the store has the features of all labelled videos, as far as can be.

    A store that has all of them needs no networks, unless the command line asks for certain ones.
    """
    from duetal.cli.extraction_options import extract_with_progress, make_extractor
    from duetal.extraction.missing import plan
    from duetal.extraction.sources import Found
    from duetal.extraction.store import open_store
    from duetal.features.metadata import SETTINGS_FILE

    found = Found(tuple(own.rows), ())
    if (place / SETTINGS_FILE).is_file() and not options.chosen:
        with open_store(place) as store:
            planned = plan(found, store, retry_failed=True)
            if not planned.todo:
                return store, planned.failures
    extractor = make_extractor(options.extraction)
    with open_store(place, extractor.store_settings) as store:
        planned = plan(found, store, retry_failed=True)
        return store, extract_with_progress(planned, store, extractor)


def _report_doubts(own: "OwnVideos", found: "Found") -> None:
    """Print what is odd about table and videos, before hours of extraction rather than after."""
    from duetal.cli.terminal import printable
    from duetal.own_videos.labelled_videos import doubtful_labels

    not_there = [missing.name for missing in own.missing if missing not in found.failures]
    if not_there:
        click.echo(f"labelled and not there: {_listed(not_there)}")
    unusable = [missing.reason for missing in own.missing if missing in found.failures]
    if unusable:
        click.echo(f"left out: {_listed(unusable)}")
    if own.unlabelled:
        click.echo(f"without labels, so left out: {_listed(own.unlabelled)}")
    for doubt in doubtful_labels(own.rows.values()):
        click.echo(f"warning: {own.table}: {printable(doubt)}")


def _listed(names: Sequence[str]) -> str:
    from duetal.cli.terminal import printable

    shown = ", ".join(map(printable, names[:_NAMED]))
    more = f", … ({len(names):,} in all)" if len(names) > _NAMED else ""
    return shown + more


def _report_split(
    own: "OwnVideos", annotations: "Annotations", failures: "Sequence[Failure]"
) -> None:
    """Print what is trained on, what is held out, and the accuracy to expect."""
    from duetal.cli.terminal import printable
    from duetal.own_videos.expectation import expectation

    wanted = {label for row in own.rows.values() for label in row.labels}
    for label in sorted(wanted.difference(annotations.classes)):
        click.echo(printable(f"warning: class {label!r} is not learned: no video of it is usable"))
    training = [annotations.videos[name].labels for name in annotations.training_names()]
    for sentence in expectation(training):
        click.echo(printable(sentence))
    held_out = len(annotations) - len(training)
    marked = any(video.segments for video in annotations)
    if not held_out:
        click.echo(
            "No video is held out: there are too few to spare. All are trained on, and how good "
            "the run is cannot be measured; look at what it finds (duetal localize)."
        )
    elif marked:
        click.echo(f"{held_out:,} videos are held out, and evaluated on their marked segments.")
    else:
        click.echo(
            f"{held_out:,} videos are held out. They have labels and no marked segments, so it is "
            "measured whether the run finds what is in them, not whether it finds when."
        )
    left_out = len(own.rows) - len(annotations) - sum(f.name in _names(own) for f in failures)
    if left_out:
        click.echo(f"{left_out:,} videos are left out: held out, and without marked segments.")


def _names(own: "OwnVideos") -> set[str]:
    return {video.name for video in own.rows}
