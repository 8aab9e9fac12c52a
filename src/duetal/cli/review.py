"""`duetal review`: what a run found in videos is corrected in a browser; or videos are labelled."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from duetal.cli.convert import FORMATS
from duetal.cli.extraction_options import weight_words, weights_options
from duetal.cli.shared_options import PATH, finite, localization_values
from duetal.cli.terminal import print_failures, say
from duetal.core.extras import naming_extras

if TYPE_CHECKING:
    from duetal.review.open_review import OpenReview

#: The folder of the features that words were compared with, in a review's folder.
WORD_FEATURES = "word-features"
#: The folder of a review of what has no folder of its own.
USUAL = Path("review")


@click.command("review")
@click.argument("places", nargs=-1, metavar="[RUN|FOUND] [VIDEOS]...")
@click.option(
    "--videos",
    multiple=True,
    metavar="VIDEOS",
    help="More videos; without RUN or FOUND, the videos to begin from nothing with.",
)
@click.option(
    "--out",
    type=PATH,
    help="The folder of the review, which goes on where it was left.  [default: FOUND, or review]",
)
@click.option(
    "--from",
    "run",
    type=PATH,
    metavar="RUN",
    help="The run that FOUND is of, to train again from.  [default: RUN; none: a new one]",
)
@click.option("--classes", default="", help="Labels to give, separated by commas.")
@click.option(
    "--propose",
    is_flag=True,
    help="With --classes and no RUN: begin with what their words find, as duetal localize does.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On 127.0.0.1; 0 for any.")
@click.option("--no-browser", is_flag=True, help="Print the address alone.")
@click.option("--no-copies", is_flag=True, help="Copy no videos that browsers do not play.")
@click.option("--import", "taken", type=PATH, help="Take annotations in, and end.")
@click.option("--export", "target", type=PATH, help="Write what is known, and end.")
@click.option(
    "--to",
    "form",
    type=click.Choice(("table", *FORMATS)),
    help="The form to export; table is the one to train on.  [default: by the name]",
)
@click.option(
    "--fps",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    help="Frames per second of the videos, for forms that count frames.",
)
@click.option("--force", is_flag=True, help="Replace the file to export.")
@click.option("--branch", help="Of RUN: which branch; see duetal localize.")
@click.option(
    "--accelerator",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    help="Of RUN: where to compute.",
)
@weights_options
@naming_extras()
def command(
    places: tuple[str, ...],
    videos: tuple[str, ...],
    out: Path | None,
    run: Path | None,
    classes: str,
    propose: bool,
    port: int,
    no_browser: bool,
    no_copies: bool,
    taken: Path | None,
    target: Path | None,
    form: str | None,
    fps: float | None,
    force: bool,
    **options: Any,
) -> int:
    """Correct the detections of VIDEOS on a page, which this machine alone can open.

    FOUND is a folder that duetal localize filled, a file of detections in any form, or a review
    that was begun. For RUN, a trained run, the actions are found first. Without both, the videos
    are labelled first. Every correction is saved at once; Ctrl-C ends the page.
    """
    from duetal.core.errors import UsageError
    from duetal.formats.options import FormatOptions
    from duetal.review.open_review import FILE, open_review
    from duetal.review.review_service import ReviewService

    source = Path(places[0]) if places else None
    inputs = (*places[1:], *videos)
    if source is None and out is None and not inputs:
        raise UsageError("give what was found, or the videos to begin from nothing with (--videos)")
    folder = out or (source if source is not None and source.is_dir() else USUAL)
    if source is not None and _is_run(source):
        folder = out or USUAL
        if not (folder / FILE).exists():
            _localize(source, "", inputs, folder, no_copies=no_copies, **options)
        source, run = folder, source
    elif propose:
        if source is not None or not classes:
            raise UsageError("--propose: is for videos (--videos) and the words of --classes")
        if not (folder / FILE).exists():
            _localize(None, classes, inputs, folder, no_copies=no_copies, **options)
        source = folder
    review = open_review(
        folder,
        source,
        inputs,
        run=run,
        classes=filter(None, map(str.strip, classes.split(","))),
        copies=not no_copies,
        on_video=lambda name: say(f"opening {name}", err=True),
    )
    with review.corrections:
        for note in review.notes:
            say(f"note: {note}")
        print_failures("failed", review.failures)
        formats = FormatOptions(fps=fps)
        if taken is not None:
            entry = ReviewService(review).take_in(taken, formats)
            changed = {change.video for change in entry.changes if change.video} if entry else ()
            say(f"{taken}: {len(changed):,} videos changed")
        if target is not None:
            lines = ReviewService(review).save(target, form, formats, force=force)
            say(f"written: {target}")
            for line in lines:
                say(line)
        if taken is None and target is None:
            weights = weight_words(options)
            _serve(review, port, inputs, weights, no_browser=no_browser)
    return 1 if review.failures else 0


def _is_run(source: Path) -> bool:
    from duetal.results.folder import RunFolder

    return source.is_dir() and RunFolder(source).is_run()


def _localize(
    run: Path | None,
    words: str,
    inputs: tuple[str, ...],
    folder: Path,
    *,
    branch: str | None,
    **options: Any,
) -> None:
    """Find the actions as `duetal localize [RUN] INPUTS --out FOLDER` does, by words alone too."""
    from duetal.api.by_words import class_phrases
    from duetal.cli.localize_videos import localize_raw
    from duetal.core.errors import UsageError
    from duetal.runs.run import open_run
    from duetal.runs.score_source import trained, untrained

    if not inputs:
        raise UsageError("name the videos to find actions in", file=run)
    if run is None:
        source = untrained(class_phrases(words), localization_values((), "zero_shot"))
    else:
        source = trained(open_run(run), {}, branch)
    localize_raw(
        source,
        inputs,
        folder,
        literal=False,
        force=False,
        # Words need the features of one branch; training again, those of all.
        features=None if run else str(folder / WORD_FEATURES),
        min_score=None,
        video_stream=None,
        accept_damaged=False,
        **options,
    )


def _serve(
    review: "OpenReview",
    port: int,
    inputs: tuple[str, ...],
    weights: tuple[str, ...],
    *,
    no_browser: bool,
) -> None:
    import threading
    import webbrowser

    from duetal.review.serving import serve

    def tell(address: str) -> None:
        videos = f"{len(review.videos):,} video{'s' if len(review.videos) != 1 else ''}"
        say(f"review of {videos}, saved in {review.corrections.path}:")
        say(f"  {address}")
        say("Ctrl-C ends it; the same command goes on with it.")
        if not no_browser:
            # A browser in the terminal would keep the page from being served.
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

    serve(review, port, tell, inputs=inputs, weights=weights)
