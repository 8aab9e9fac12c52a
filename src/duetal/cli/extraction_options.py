"""The options of every command that extracts features, and what becomes of them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from duetal.features.extraction import ExtractionSettings, Extractor
    from duetal.features.missing import Plan
    from duetal.features.records import Failure, VideoRecord
    from duetal.features.store import Store

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--i3d-rgb",
        metavar="WEIGHTS",
        help="I3D weights for RGB: a record's name or a file.  [default: i3d-rgb-kinetics]",
    ),
    click.option(
        "--i3d-flow",
        metavar="WEIGHTS",
        help="I3D weights for flow: a record's name or a file.  [default: i3d-flow-kinetics]",
    ),
    click.option(
        "--clip",
        metavar="MODEL",
        help="Image-text model: a hub name or a folder.  [default: openai/clip-vit-base-patch16]",
    ),
    click.option(
        "--flow",
        type=click.Choice(["tvl1", "opencv"]),
        help="Engine of the TV-L1 flow.  [default: tvl1]",
    ),
    click.option(
        "--without",
        type=click.Choice(["rgb", "flow", "clip"]),
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
        help="Pixels of the central square that I3D sees.  [default: 224]",
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
        help="Snippets that a network sees at once.  [default: what fits]",
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


def make_extractor(options: dict[str, Any]) -> "Extractor":
    """The extractor that the values of `extraction_options` ask for.

    Raises:
        UsageError: values that do not go together, no such device.
        DuetalError: weights that can't be had or have another hash.
    """
    from duetal.cli.progress import DownloadProgress
    from duetal.features.extraction import Extractor

    settings, computing = read_options(options)
    return Extractor(settings, **computing, told=DownloadProgress("downloading weights"))


def read_options(options: dict[str, Any]) -> "tuple[ExtractionSettings, dict[str, Any]]":
    """What the values of `extraction_options` say: the settings, and how to compute.

    Raises:
        UsageError: values that do not go together.
    """
    from duetal.features.extraction import MODALITIES, ExtractionSettings
    from duetal.video.flow.interface import FlowName

    values = {name: value for name, value in options.items() if value is not None}
    computing = {name: values.pop(name) for name in COMPUTING if name in values}
    left_out = values.pop("without", ())
    if "flow" in values:
        values["flow"] = FlowName(values["flow"])
    modalities = tuple(m for m in MODALITIES if m not in left_out)
    return ExtractionSettings(modalities=modalities, **values), computing


def extract_with_progress(
    planned: "Plan", store: "Store", extractor: "Extractor"
) -> "tuple[Failure, ...]":
    """Extract what a store lacks, and show how it goes on; see `extract_missing`."""
    from duetal.cli.progress import LongVideoProgress
    from duetal.features.missing import Watcher, extract_missing

    sizes = {video.name: size for video, size in planned.todo.items()}
    with LongVideoProgress(sizes) as progress:

        class Shown(Watcher):
            def working(self, video: Any, done: int, expected: int) -> None:
                progress.working(video.name, done / max(done, expected))

            def ended(self, outcome: Any) -> None:
                progress.ended(outcome.name, outcome_line(outcome))

        return extract_missing(planned, store, extractor, Shown())


def outcome_line(outcome: "VideoRecord | Failure") -> str:
    """What to say of a video that has been extracted, or has failed."""
    from duetal.features.records import Failure

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
