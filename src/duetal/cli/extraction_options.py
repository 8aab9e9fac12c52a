"""The options of every command that extracts features, and what becomes of them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from duetal.backbones import BACKBONES
from duetal.backbones.protocol import BackboneRecord

if TYPE_CHECKING:
    from duetal.cli.progress import WeighedProgress
    from duetal.extraction.missing import Extracts, Plan
    from duetal.extraction.pipeline import ExtractionSettings, Extractor
    from duetal.extraction.sources import Failure
    from duetal.extraction.store import Store
    from duetal.features.metadata import VideoRecord

Command = TypeVar("Command", bound=Callable[..., Any])


def _parameter(record: BackboneRecord) -> str:
    """What click calls the option of a backbone: "--i3d-rgb" is "i3d_rgb"."""
    return record.option.removeprefix("--").replace("-", "_")


#: The options of the backbones' weights, as click's parameters, by the backbone's name.
WEIGHTS = {record.name: _parameter(record) for record in BACKBONES}

_OPTIONS = (
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
        type=click.Choice([record.name for record in BACKBONES]),
        multiple=True,
        help="Leave these features out; may be given twice.",
    ),
    click.option(
        "--short-side",
        type=click.IntRange(32, 4096),
        help="Pixels that frames are resized to.  [default: 256]",
    ),
    click.option(
        "--crop",
        type=click.IntRange(32, 4096),
        help="Pixels of the central square that backbones read.  [default: 224]",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["float16", "float32"]),
        help="As which features are stored.  [default: float16]",
    ),
    click.option(
        "--device",
        default="auto",
        show_default=True,
        help="Where to compute: auto, cpu, cuda or cuda:N.",
    ),
    click.option(
        "--batch",
        type=click.IntRange(min=1),
        help="Snippets that a network encodes at once.  [default: what fits]",
    ),
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        help="Threads of each stage on the CPU.  [default: all cores]",
    ),
)
#: How the computing is done; everything else is a setting, on which the features depend.
COMPUTING = ("device", "batch", "threads")


def extraction_options(command: Command) -> Command:
    """Give a command the options of the extraction; `make_extractor` takes their values."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def weights_options(command: Command) -> Command:
    """Give a command the options of weights that have moved; `take_weights` takes their values."""
    for record in reversed(BACKBONES):
        moved = f"Of videos: where the weights of the {record.name} features are, if they moved."
        command = click.option(record.option, metavar="WEIGHTS", help=moved)(command)
    return command


def make_extractor(options: dict[str, Any]) -> "Extractor":
    """The extractor for the values of `extraction_options`.

    Raises:
        UsageError: values that do not go together, no such device.
        DuetalError: weights that can't be had or have another hash.
    """
    from duetal.cli.progress import DownloadProgress
    from duetal.extraction.pipeline import Extractor

    settings, computing = read_options(options)
    return Extractor(settings, **computing, on_download=DownloadProgress("downloading weights"))


def read_options(options: dict[str, Any]) -> "tuple[ExtractionSettings, dict[str, Any]]":
    """The settings that the values of `extraction_options` name, and how to compute.

    Raises:
        UsageError: values that do not go together.
    """
    from duetal.extraction.pipeline import ExtractionSettings

    values = {name: value for name, value in options.items() if value is not None}
    computing = {name: values.pop(name) for name in COMPUTING if name in values}
    left_out = values.pop("without", ())
    weights = take_weights(values)
    backbones = [record for record in BACKBONES if record.name not in left_out]
    return ExtractionSettings.usual(backbones, weights=weights, **values), computing


def take_weights(values: dict[str, Any]) -> dict[str, str]:
    """Take the options of weights out of a command's options; those given, by backbone."""
    given = {name: values.pop(parameter, None) for name, parameter in WEIGHTS.items()}
    return {name: source for name, source in given.items() if source is not None}


def extract_with_progress(
    planned: "Plan",
    store: "Store",
    extractor: "Extracts",
    make_progress: "Callable[[dict[str, int | None]], WeighedProgress] | None" = None,
) -> "tuple[Failure, ...]":
    """Extract what a store lacks, and show the progress; see `extract_missing`."""
    from duetal.cli.progress import LongVideoProgress
    from duetal.extraction.missing import extract_missing

    sizes = {video.name: size for video, size in planned.todo.items()}
    with (make_progress or LongVideoProgress)(sizes) as progress:
        return extract_missing(
            planned,
            store,
            extractor,
            lambda video, done, expected: progress.working(video.name, done / max(done, expected)),
            lambda outcome: progress.ended(outcome.name, outcome_line(outcome)),
        )


def outcome_line(outcome: "VideoRecord | Failure") -> str:
    """The line about a video that has been extracted, or has failed."""
    from duetal.extraction.sources import Failure

    if isinstance(outcome, Failure):
        return f"failed: {outcome.reason}"
    line = f"{outcome.name}: T = {outcome.snippets:,}, {outcome.duration:.1f} s"
    return line + "".join(f"; note: {note}" for note in outcome.notes)


def print_failures(title: str, failures: "Sequence[Failure]") -> None:
    """List the reasons of failures, if there are any; each names its file."""
    from duetal.cli.terminal import printable

    if failures:
        click.echo(f"{title}:")
    for failure in failures:
        click.echo(f"  {printable(failure.reason)}")
