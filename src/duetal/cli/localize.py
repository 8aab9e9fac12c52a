"""`duetal localize`: the actions in the videos of a dataset, found by a trained run."""

from pathlib import Path

import click


@click.command("localize")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Where to write ActivityNet results JSON, in seconds.",
)
@click.option(
    "--branch",
    type=click.Choice(["cbp", "vlp", "both"]),
    help="Which branch; both is their ensemble.  [default: cbp]",
)
@click.option("--stage", help="Another checkpoint than the run's final one, such as cbp-warmup.")
@click.option(
    "--literal", is_flag=True, help="The paper to the letter: one threshold, maximum scoring."
)
@click.option(
    "--subset",
    type=click.Choice(["train", "test", "all"]),
    default="test",
    show_default=True,
    help="Which videos; of a dataset without annotations, test is all of them.",
)
@click.option(
    "--accelerator",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)
def command(
    run: Path,
    dataset: Path,
    out: Path,
    branch: str | None,
    stage: str | None,
    literal: bool,
    subset: str,
    accelerator: str,
) -> None:
    """Find the actions in the videos of DATASET with the trained run in the folder RUN.

    DATASET is a folder or a YAML file; features are enough, annotations are not needed. Videos are
    read in windows, so that their length does not matter.
    """
    from duetal.cli.terminal import VideoProgress, printable
    from duetal.core.errors import UsageError
    from duetal.datasets import open_dataset
    from duetal.runs.folder import open_run
    from duetal.runs.localize import choose_videos, localize, unknown_classes, write_localized
    from duetal.runs.processes import device_of

    if branch is not None and stage is not None:
        raise UsageError("--branch and --stage: a stage is of one branch, give one of the two")
    opened = open_run(run)
    stages = opened.model.stages_named(stage or branch or "cbp")
    videos = open_dataset(dataset)
    names = choose_videos(videos, subset)
    for label in unknown_classes(opened, videos):
        click.echo(f"note: the run knows nothing of the class {printable(label)!r}")
    with VideoProgress() as progress:
        detections = localize(
            opened,
            videos,
            names,
            stages=stages,
            literal=literal,
            device=device_of(accelerator),
            progress=progress,
        )
    write_localized(out, detections, opened, stages, literal=literal)
    click.echo(f"{len(names):,} videos, {len(detections):,} detections: {out}")
    click.echo(f"checkpoint: {opened.model.rule(stages)}")
