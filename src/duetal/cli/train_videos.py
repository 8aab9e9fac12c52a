"""`duetal train --videos`: from videos and a table of their labels to a dataset, with a summary."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from duetal.cli import extraction_options
from duetal.cli.terminal import print_failures, say
from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError
from duetal.extraction.sources import Failure, Found, find_videos
from duetal.formats import read_annotations
from duetal.formats.video_table import read_video_table
from duetal.own_videos import labelled_videos
from duetal.own_videos.expectation import expectation
from duetal.own_videos.labelled_videos import OwnVideos
from duetal.own_videos.video_features import fill_store
from duetal.results.folder import RunFolder

#: Names of videos that are listed where many have the same fault.
_NAMED = 10


def make_dataset(
    folder: RunFolder,
    extraction: dict[str, Any],
    *,
    videos: Sequence[str],
    labels: Path,
    annotations: Path | None,
    store: str | None,
    typed: Sequence[str],
    begun: bool,
) -> tuple[Failure, ...]:
    """Extract what is missing and write the dataset, printing what was found and left out.

    `extraction` has the values of `extraction_options`, `typed` the names of the options that were
    given; the other arguments are options. `begun`: a run has begun in the folder.

    Returns:
        Labelled videos that can't be trained on, and why.

    Raises:
        DuetalError: nothing to learn from, a table, a store or weights that can't be read.
        UsageError: features of other settings, or other labels than a run began with.
    """
    strong = None if annotations is None else read_annotations(annotations)
    found = find_videos(videos, **extraction_options.take_reading(extraction))
    own = labelled_videos.match(read_video_table(labels), found, labels)
    labelled_videos.require_plan(own)
    _print_doubts(own, found)
    place = Path(store) if store else folder.dataset
    # A store that is complete needs no networks, unless an option names some.
    chosen = any(name in typed and name not in extraction_options.COMPUTING for name in extraction)
    filled, failures = fill_store(
        Found(tuple(own.rows), ()),
        place,
        lambda: extraction_options.make_extractor(extraction),
        extract=extraction_options.extract_with_progress,
        reuse=not chosen,
    )
    failures = (*own.missing, *failures)
    try:
        known = labelled_videos.annotate(own, filled, failures, strong)
    except DuetalError:
        print_failures("failed", failures)
        raise
    labelled_videos.write_dataset(folder.dataset, known, filled, begun=begun)
    _print_split(own, known, failures)
    say(f"dataset: {folder.dataset}; its features can be used again with --store {place}")
    return failures


def _print_doubts(own: OwnVideos, found: Found) -> None:
    """Print what is odd about table and videos, before hours of extraction rather than after."""
    unusable = [missing.reason for missing in own.missing if missing in found.failures]
    for title, names in (
        ("in the table and not there", [m.name for m in own.missing if m not in found.failures]),
        ("left out", unusable),
        ("not in the table, so left out", own.unlisted),
    ):
        if names:
            shown = ", ".join(names[:_NAMED])
            more = f", … ({len(names):,} in all)" if len(names) > _NAMED else ""
            say(f"{title}: {shown}{more}")
    for doubt in labelled_videos.doubtful_labels(own.rows.values()):
        say(f"warning: {own.table}: {doubt}")


def _print_split(own: OwnVideos, annotations: Annotations, failures: Sequence[Failure]) -> None:
    """Print what is trained on, what is held out, and the accuracy to expect."""
    wanted = {label for row in own.rows.values() for label in row.labels}
    for label in sorted(wanted.difference(annotations.classes)):
        say(f"warning: class {label!r} is not learned: no video of it is usable")
    training = [annotations.videos[name].labels for name in annotations.training_names()]
    for sentence in expectation(training):
        say(sentence)
    if len(set(training)) == 1:
        shared = ", ".join(training[0])
        say(
            f"warning: every training video has the same labels ({shared}), so nothing shows what "
            "they are not. Add videos without them, or in which nothing happens: a row with an "
            "empty label."
        )
    held_out = len(annotations) - len(training)
    if not held_out:
        say(
            "No video is held out: there are too few to spare. All are trained on, and how good "
            "the run is cannot be measured. The report shows what it finds in them."
        )
    elif any(video.segments for video in annotations):
        say(f"{held_out:,} videos are held out, and evaluated on their marked segments.")
    else:
        say(
            f"{held_out:,} videos are held out. They have labels and no marked segments, so it is "
            "measured whether the run finds what is in them, not whether it finds when."
        )
    names = {video.name for video in own.rows}
    left_out = len(names) - len(annotations) - sum(failure.name in names for failure in failures)
    if left_out:
        say(f"{left_out:,} videos are left out: held out, and without marked segments.")
