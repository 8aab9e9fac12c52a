"""`duetal export`: a run for other programs (ONNX) and for other people (a model card)."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from duetal.runs.handover import Handover


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--onnx", is_flag=True, help="Write an ONNX file: features in, scores out.")
@click.option("--card", is_flag=True, help="Write a model card in Markdown.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The file to write.  [default: RUN/model.onnx, RUN/README.md]",
)
@click.option(
    "--branch",
    type=click.Choice(["cbp", "vlp", "both"]),
    help="For ONNX: which branch; both is their ensemble.  [default: cbp]",
)
@click.option("--stage", help="For ONNX: another checkpoint than the run's final one.")
def command(
    run: Path, onnx: bool, card: bool, out: Path | None, branch: str | None, stage: str | None
) -> None:
    """Write the trained run in the folder RUN as ONNX, or a model card of it.

    The ONNX file reads features of one video, of any length, and gives probabilities by snippet and
    by video. It is checked against PyTorch before it is there. The card says what the run is,
    what it was trained on and scored, and under which protocol, and names no folder of yours. A
    card may also be of the folder of several seeds.
    """
    from duetal.core.errors import UsageError
    from duetal.runs.handover import open_handover

    if not onnx and not card:
        raise UsageError("export what? --onnx or --card, or both")
    if onnx and card and out is not None:
        raise UsageError("--out: is one file, and --onnx and --card write two")
    if out is not None and out.is_dir():
        raise UsageError("--out: is a folder", file=out)
    if not onnx and (branch is not None or stage is not None):
        raise UsageError("--branch and --stage: are for --onnx; a card is of the whole run")
    if branch is not None and stage is not None:
        raise UsageError("--branch and --stage: a stage is of one branch, give one of the two")
    handover = open_handover(run)
    if onnx:
        _export_onnx(handover, out or run / "model.onnx", stage or branch or "cbp")
    if card:
        from duetal.runs.model_card import write_card

        path = out or run / "README.md"
        write_card(handover, path)
        click.echo(f"model card: {path}")


def _export_onnx(handover: "Handover", path: Path, stage: str) -> None:
    from duetal.core.errors import UsageError
    from duetal.runs.onnx_export import export_onnx

    if "" not in handover.runs:
        names = ", ".join(handover.runs)
        raise UsageError(f"--onnx: a run of several seeds; name one of {names}", file=handover.path)
    run = handover.first
    stages = run.model.stages_named(stage)
    exported = export_onnx(run, stages, path)
    inputs = ", ".join(f"{name} (T, {width})" for name, width in exported.inputs.items())
    click.echo(f"ONNX: {exported.path}; inputs: {inputs}")
    click.echo(
        f"checked in ONNX Runtime at T = {', '.join(map(str, exported.lengths))}: "
        f"no score differs from PyTorch's by more than {exported.difference:.1e}"
    )
    click.echo(f"checkpoint: {run.model.rule(stages)}")
