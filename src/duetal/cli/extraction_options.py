"""The options of every command that extracts features, and extraction with progress."""

from typing import TYPE_CHECKING, Any

import click

from duetal.backbones import BACKBONES
from duetal.backbones.presets import OPTIONS, choose_all
from duetal.cli.shared_options import together
from duetal.cli.terminal import say

if TYPE_CHECKING:
    from duetal.extraction.extraction_settings import ExtractionSettings
    from duetal.extraction.missing import Extracts, Plan
    from duetal.extraction.pipeline import Extractor
    from duetal.extraction.sources import Failure
    from duetal.extraction.store import Store
    from duetal.features.metadata import VideoRecord

#: Click's names of the options of weights, by backbone: `--i3d-rgb` is `i3d_rgb`.
WEIGHTS = {record.name: record.option.strip("-").replace("-", "_") for record in BACKBONES}
_SIZE = click.IntRange(32, 4096)
_COUNT = click.IntRange(min=1)
_GRID = "Frames a second, by timestamp.  [default: "
#: Where and how fast features are computed; the other options change the features.
COMPUTING = ("device", "batch", "threads", "compiled")
#: The options of the extraction; `make_extractor` takes their values.
extraction_options = together(
    *(
        click.option(
            option,
            multiple=True,
            metavar="NAME",
            help=f"Backbone for {branch.upper()}: {what}, a hub name or a folder; several for more "
            "streams than one run reads.",
        )
        for (branch, option), what in zip(
            OPTIONS.items(),
            (
                "i3d or a short name that `duetal backbones ls` lists",
                "one with a text encoder that it lists",
            ),
            strict=True,
        )
    ),
    click.option("--fps", type=click.FloatRange(0, 1000, min_open=True), help=f"{_GRID}25]"),
    click.option("--stride", type=_COUNT, help="Frames from a snippet to the next.  [default: 16]"),
    click.option(
        "--window",
        type=_COUNT,
        help="Frames that a snippet sees.  [default: 16, or what the backbones read]",
    ),
    click.option(
        "--crops",
        type=click.Choice(["1", "10"]),
        help="Squares of a picture whose features are kept apart: 10 for corners and middle, "
        "mirrored.  [default: 1]",
    ),
    *(
        click.option(
            record.option,
            metavar="WEIGHTS",
            help=f"{record.subject}: {record.accepts}.  [default: {record.weights}]",
        )
        for record in BACKBONES
    ),
    click.option(
        "--flow",
        type=click.Choice(["tvl1", "opencv"]),
        help="Engine of the TV-L1 flow.  [default: tvl1]",
    ),
    click.option(
        "--without",
        type=click.Choice(list(WEIGHTS)),
        multiple=True,
        help="Leave these features out; may be given twice.",
    ),
    click.option(
        "--short-side", type=_SIZE, help="Pixels that frames are resized to.  [default: 256]"
    ),
    click.option(
        "--crop",
        type=_SIZE,
        help="Pixels of the central square that backbones read.  [default: 224]",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["float16", "float32"]),
        help="As which features are stored.  [default: float16]",
    ),
    click.option(
        "--bf16",
        is_flag=True,
        default=None,
        help="Let networks multiply in bfloat16: faster on a GPU, and other features.",
    ),
    click.option(
        "--compile",
        "compiled",
        is_flag=True,
        default=None,
        help="Compile the networks: a minute at first, and less for each video from then on.",
    ),
    click.option("--device", default="auto", help="Where to compute: auto, cpu, cuda or cuda:N."),
    click.option(
        "--batch",
        type=_COUNT,
        help="Snippets that a network encodes at once.  [default: what fits]",
    ),
    click.option(
        "--threads", type=_COUNT, help="Threads of each stage on the CPU.  [default: all cores]"
    ),
)
#: Which part of a video's file is read; `take_reading` takes their values.
reading_options = together(
    click.option(
        "--video-stream",
        type=click.IntRange(min=0),
        help="Number of the stream to read, of files with several.  [default: the file's default, "
        "or the largest]",
    ),
    click.option(
        "--accept-damaged",
        is_flag=True,
        help="Take what can be decoded of damaged videos, however much of them is lost.",
    ),
)
#: The options of weights that have moved; `take_weights` takes their values.
weights_options = together(
    *(
        click.option(
            option,
            metavar="WEIGHTS",
            help=f"Of videos: where the model of the {branch.upper()} features is, if it moved.",
        )
        for branch, option in OPTIONS.items()
    ),
    *(
        click.option(
            record.option,
            metavar="WEIGHTS",
            help=f"Of videos: where the weights of the {record.name} features are, if they moved.",
        )
        for record in BACKBONES
    ),
)


def make_extractor(options: dict[str, Any]) -> "Extractor":
    """The extractor for the values of `extraction_options`; raises as `Extractor`."""
    from duetal.cli.progress import DownloadProgress
    from duetal.extraction.pipeline import Extractor

    settings, computing = read_options(options)
    return Extractor(
        settings,
        **computing,
        on_download=DownloadProgress("downloading weights"),
        notify=lambda line: say(f"note: {line}", err=True),
    )


def read_options(options: dict[str, Any]) -> "tuple[ExtractionSettings, dict[str, Any]]":
    """What values of `extraction_options` mean: settings, and how to compute; or a UsageError."""
    from duetal.extraction.extraction_settings import ExtractionSettings

    values = {name: value for name, value in options.items() if value is not None}
    computing = {name: values.pop(name) for name in COMPUTING if name in values}
    left_out = values.pop("without", ())
    named = {branch: values.pop(branch, ()) for branch in OPTIONS}
    weights = take_weights(values)
    backbones = [one for one in choose_all(named, weights) if one.name not in left_out]
    grid = {name: values.pop(name) for name in ("fps", "stride", "window") if name in values}
    if "crops" in values:
        values["crops"] = int(values["crops"])
    return ExtractionSettings.usual(backbones, weights=weights, **grid, **values), computing


def take_reading(values: dict[str, Any]) -> dict[str, Any]:
    """Take `reading_options` out of a command's options, as arguments of `find_videos`."""
    return {"stream": values.pop("video_stream"), "damaged": values.pop("accept_damaged")}


def take_weights(values: dict[str, Any]) -> dict[str, str]:
    """Take the options of weights out of a command's options; those given, by name or branch."""
    parameters = WEIGHTS | {branch: branch for branch in OPTIONS if branch in values}
    given = {name: values.pop(parameter, None) for name, parameter in parameters.items()}
    return {name: source for name, source in given.items() if source is not None}


def weight_words(values: dict[str, Any]) -> tuple[str, ...]:
    """The options of weights as words of another command."""
    words = {
        values.get(name): f"--{name.replace('_', '-')}" for name in (*OPTIONS, *WEIGHTS.values())
    }
    return tuple(word for source, option in words.items() if source for word in (option, source))


def extract_with_progress(
    planned: "Plan", store: "Store", extractor: "Extracts"
) -> "tuple[Failure, ...]":
    """Extract what a store lacks, and show the progress; see `extract_missing`."""
    from duetal.cli.progress import ExtractionProgress
    from duetal.extraction.missing import extract_missing
    from duetal.extraction.sources import Failure

    sizes = {video.name: size for video, size in planned.todo.items()}
    # A cluster has worker processes.
    workers = (lambda: len(extractor.processes)) if hasattr(extractor, "processes") else None
    with ExtractionProgress(sizes, workers) as progress:

        def print_outcome(outcome: "VideoRecord | Failure") -> None:
            if isinstance(outcome, Failure):
                line = f"failed: {outcome.reason}"
            else:
                line = f"{outcome.name}: T = {outcome.snippets:,}, {outcome.duration:.1f} s"
                line += "".join(f"; note: {note}" for note in outcome.notes)
            progress.ended(outcome.name, line)

        return extract_missing(
            planned,
            store,
            extractor,
            lambda video, done, expected: progress.working(video.name, done / max(done, expected)),
            print_outcome,
        )
