"""`duetal localize`: the actions in videos, or in a dataset's, found by a trained run."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from duetal.backbones.presets import OPTIONS
from duetal.cli.extraction_options import WEIGHTS, reading_options, weights_options
from duetal.cli.shared_options import (
    PATH,
    finite,
    force_option,
    localization_option,
    localization_values,
    refuse_bad_yaml,
    refuse_existing,
)
from duetal.cli.terminal import say

if TYPE_CHECKING:
    from duetal.runs.run import Run

#: The options that are for raw videos alone, beside those of weights.
OF_VIDEOS = ("features", "min_score", "no_copies", "video_stream", "accept_damaged")


@click.command("localize")
@click.argument("run", type=PATH)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUTS...")
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="Of videos: a folder for detections, subtitles and the page. Of a dataset: a JSON file.",
)
@click.option(
    "--branch",
    help="Which branch, such as cbp or vlp, or both for their ensemble.  [default: the first]",
)
@click.option("--stage", help="Another checkpoint than the run's final one, such as cbp-warmup.")
@click.option(
    "--literal", is_flag=True, help="The paper to the letter: one threshold, maximum scoring."
)
@localization_option
@click.option(
    "--accelerator",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    help="Where to compute.",
)
@click.option(
    "--subset",
    type=click.Choice(["train", "test", "all"]),
    help="Of a dataset: which videos; without annotations, test is all of them.  [default: test]",
)
@click.option(
    "--features",
    metavar="STORE",
    help="Of videos: where their features are kept; used again if there.  [default: OUT/features]",
)
@weights_options
@reading_options
@click.option(
    "--min-score",
    type=click.FloatRange(min=0),
    callback=finite,
    help="Of videos: detections below are no subtitles, and hidden on the page at first.  "
    "[default: half the lowest of the videos' top scores]",
)
@click.option(
    "--no-copies",
    is_flag=True,
    help="Of videos: make no copies of those that browsers do not play.",
)
@force_option
def command(
    run: Path,
    inputs: tuple[str, ...],
    out: Path,
    branch: str | None,
    stage: str | None,
    literal: bool,
    settings: tuple[str, ...],
    accelerator: str,
    force: bool,
    **options: Any,
) -> int:
    """Find the actions in INPUTS with the trained run in the folder RUN.

    INPUTS are videos: files, folders, lists (.txt, one a line), patterns and URLs. Their features
    are extracted as those were that the run was trained on, and --out becomes a folder with the
    detections as JSON, CSV and WebVTT, and with index.html, where the videos play over their
    timelines. A video that can't be processed is listed, and the exit code is 1.

    Or INPUTS is one dataset, a folder or a YAML file of features; annotations are not needed.
    """
    refuse_bad_yaml(run / "config.yaml", *map(Path, inputs))
    # A wrong setting is told before anything is opened.
    chosen = localization_values(settings)

    from duetal.core.errors import UsageError
    from duetal.own_videos.raw_videos import is_dataset
    from duetal.runs.run import open_run, with_localization

    if branch is not None and stage is not None:
        raise UsageError("--branch and --stage: a stage is of one branch, give one of the two")
    dataset = is_dataset(inputs)
    for name in (*OF_VIDEOS, *OPTIONS, *WEIGHTS.values()) if dataset else ("subset",):
        value = options.pop(name)
        # Not by equality: --min-score 0 is given.
        if value is not None and value is not False:
            kind = "videos" if dataset else "a dataset"
            raise UsageError(f"--{name.replace('_', '-')}: is for {kind}, and INPUTS is not that")
    opened = with_localization(open_run(run), chosen)
    stages = opened.model.stages_named(stage or branch)
    how: dict[str, Any] = {"stages": stages, "literal": literal, "accelerator": accelerator}
    if dataset:
        refuse_existing(out, inputs, force=force)
        _localize_dataset(opened, Path(inputs[0]), out, **how, **options)
        return 0
    from duetal.cli.localize_videos import localize_raw

    return localize_raw(opened, inputs, out, force=force, **how, **options)


def _localize_dataset(
    run: "Run", path: Path, out: Path, *, accelerator: str, subset: str | None, **how: Any
) -> None:
    """Localize the videos of a dataset and write ActivityNet results JSON, in seconds."""
    from duetal.cli.progress import VideoProgress
    from duetal.core.errors import UsageError
    from duetal.datasets import open_dataset
    from duetal.formats.activitynet import write_detections
    from duetal.runs.localizing import choose_videos, limit_notes, localize, unknown_classes
    from duetal.runs.processes import device_of

    dataset = open_dataset(path, choice=run.config.data.choice)
    if out.is_dir():
        raise UsageError("--out: is a folder; the detections of a dataset are a file", file=out)
    names = choose_videos(dataset, subset or "test")
    for label in unknown_classes(run, dataset):
        say(f"note: the run was not trained on the class {label!r}")
    device = device_of(accelerator)
    with VideoProgress() as progress:
        detections = localize(run, dataset, names, device=device, progress=progress, **how)
    write_detections(out, detections)
    say(f"{len(names):,} videos, {len(detections):,} detections: {out}")
    say(f"checkpoint: {run.model.rule(how['stages'])}")
    for note in limit_notes(detections, run.config):
        say(f"note: {note}")
