"""`duetal simulate`: simulated two-modality features over an annotation file."""

from pathlib import Path
from typing import Any

import click

from duetal.cli.shared_options import PATH, finite, json_option, writes
from duetal.cli.terminal import say


@click.command("simulate")
@click.argument("annotations", type=PATH)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The dataset's folder; made new.",
)
@click.option(
    "--difficulty",
    type=click.FloatRange(0, 1),
    callback=finite,
    default=0.5,
    help="From 0, easy, to 1, hard.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0)
@click.option(
    "--cbp-channels", type=click.IntRange(min=2), default=128, help="Channels of the CBP stream."
)
@click.option(
    "--vlp-channels",
    type=click.IntRange(min=2),
    default=64,
    help="Channels of the VLP stream and of the text encoder; even.",
)
@click.option(
    "--linear",
    is_flag=True,
    help="Simulate the easier world in which each class is one direction.",
)
@json_option
@writes("json_file")
def command(annotations: Path, out: Path, json_file: Path | None, **chosen: Any) -> None:
    """Make simulated two-modality features over ANNOTATIONS, a dataset to try things on.

    ANNOTATIONS is whatever duetal evaluate reads, with segments. The CBP stream responds in the
    discriminative core of an action alone, the VLP stream over its whole scene. Equal settings give
    equal features.
    """
    from dataclasses import asdict

    from duetal.cli.progress import VideoProgress
    from duetal.core.errors import UsageError
    from duetal.core.files import write_json
    from duetal.formats import read_annotations
    from duetal.simulation.generate import simulate
    from duetal.simulation.world import Simulation

    settings = Simulation(**chosen)
    if settings.vlp_channels % 2:
        raise UsageError("--vlp-channels: must be even, the text encoder has two heads")
    known = read_annotations(annotations)
    with VideoProgress() as progress:
        simulate(known, out, settings, progress=lambda done, all: progress("simulating", done, all))
    videos = [video for video in known if video.segments]
    if json_file is not None:
        about = {"videos": len(videos), "classes": list(known.classes), **asdict(settings)}
        write_json(json_file, about)
    say(f"{len(videos):,} videos, {len(known.classes)} classes: {out}")
    say("The features are simulated; no number measured on them is about real videos.")
