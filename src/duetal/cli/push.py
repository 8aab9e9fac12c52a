"""`duetal push`: a trained run into a repository of the Hugging Face hub."""

from pathlib import Path

import click


@click.command("push")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--repo", required=True, metavar="OWNER/NAME", help="The model repository.")
@click.option("--private", is_flag=True, help="Make the repository private, if it is new.")
@click.option("--revision", help="The branch; made if it is not there.  [default: main]")
@click.option("--message", help="Of the commit.  [default: Push the run NAME]")
@click.option("--onnx", is_flag=True, help="Publish model.onnx too, of all branches together.")
@click.option("--dry-run", is_flag=True, help="List what would be pushed, and ask nobody.")
def command(
    run: Path,
    repo: str,
    private: bool,
    revision: str | None,
    message: str | None,
    onnx: bool,
    dry_run: bool,
) -> None:
    """Push the trained run in the folder RUN to a repository of the Hugging Face hub.

    Pushed are a model card, the settings, the scores, and the checkpoints that localization uses:
    enough for duetal localize once it is downloaded again. Logs, environment, ground truth,
    detections and the paths of this machine stay here. Onto a repository that is there goes one
    commit more. The token is the one of hf auth login, or HF_TOKEN.
    """
    from duetal.cli.terminal import printable
    from duetal.runs.handover import open_handover
    from duetal.runs.publication import published_files
    from duetal.runs.push import check_repo_name, push

    check_repo_name(repo)
    handover = open_handover(run)
    files = published_files(handover, repo, onnx=onnx)
    width = max(len(file.path) for file in files)
    if dry_run:
        for file in files:
            click.echo(f"{printable(file.path):<{width}}  {len(file.content):>12,} bytes")
        total = sum(len(file.content) for file in files)
        click.echo(f"{len(files)} files, {total:,} bytes; nothing was pushed (--dry-run)")
        return
    name = run.absolute().name
    pushed = push(
        files, repo, private=private, revision=revision, message=message or f"Push the run {name}"
    )
    for path, what in pushed.changes.items():
        click.echo(f"{printable(path):<{width}}  {what}")
    if pushed.commit is None:
        click.echo(f"nothing has changed: {pushed.url}")
    else:
        click.echo(f"pushed: {pushed.commit}")
