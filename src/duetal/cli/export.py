"""`duetal export`: a run for other programs (ONNX) and for other people (a model card)."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from duetal.cli.shared_options import PATH, force_option, license_option
from duetal.cli.terminal import say

if TYPE_CHECKING:
    from duetal.publishing.public_run import PublicRun


@click.command("export")
@click.argument("run", type=PATH)
@click.option("--onnx", is_flag=True, help="Write an ONNX file: features in, scores out.")
@click.option("--card", is_flag=True, help="Write a model card in Markdown.")
@click.option(
    "--out", type=PATH, help="The file to write.  [default: RUN/model.onnx, RUN/README.md]"
)
@click.option(
    "--branch",
    metavar="NAME",
    help="For ONNX: a branch, such as cbp or vlp; both: the ensemble; detector.  [default: cbp]",
)
@click.option("--stage", help="For ONNX: another checkpoint than the run's final one.")
@license_option
@force_option
def command(
    run: Path,
    onnx: bool,
    card: bool,
    out: Path | None,
    branch: str | None,
    stage: str | None,
    license_name: str | None,
    force: bool,
) -> None:
    """Write the trained run in the folder RUN as ONNX, or a model card of it.

    The ONNX file reads features of one video, of any length, and gives probabilities by snippet and
    by video; the detector's gives scores and borders. It is checked against PyTorch before it is in
    place. The card describes the run, the data it was trained on, its scores and their protocol,
    without any path of this machine. RUN may be the folder of several seeds for a card.
    """
    from duetal.core.errors import UsageError
    from duetal.core.outputs import refuse_existing
    from duetal.publishing.public_run import open_public_run

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
    published = open_public_run(run)
    graph, path = out or run / "model.onnx", out or run / "README.md"
    for wanted, file, name in ((onnx, graph, "model.onnx"), (card, path, "README.md")):
        if wanted:
            own = file.absolute() == (run / name).absolute()
            refuse_existing(file, [run], force=force, own=own)
    if onnx:
        _export_onnx(published, graph, stage or branch)
    if card:
        from duetal.core.files import write_text
        from duetal.publishing.model_card import license_in, render_card

        license_name = license_name or license_in(path)
        write_text(path, render_card(published, license_name=license_name))
        say(f"model card: {path}")


def _export_onnx(published: "PublicRun", path: Path, name: str | None) -> None:
    from duetal.core.errors import UsageError
    from duetal.publishing.onnx_graph import export_onnx

    if "" not in published.runs:
        names = ", ".join(published.runs)
        cause = f"--onnx: a run of several seeds; name one of {names}"
        raise UsageError(cause, file=published.path)
    run = published.first
    stages = run.model.stages_named(name)
    exported = export_onnx(run, stages, path)
    inputs = ", ".join(f"{name} (T, {dim})" for name, dim in exported.inputs.items())
    say(f"ONNX: {path}; inputs: {inputs}")
    say(
        f"checked in ONNX Runtime at T = {', '.join(map(str, exported.lengths))}: "
        f"no output differs from PyTorch's by more than {exported.difference:.1e}"
    )
    say(f"checkpoint: {run.model.rule(stages)}")
