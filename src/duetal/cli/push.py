"""`duetal push`: a trained run into a repository of the Hugging Face hub."""

from pathlib import Path

import click

from duetal.cli.shared_options import PATH, license_option
from duetal.cli.terminal import say


@click.command("push")
@click.argument("run", type=PATH)
@click.option("--repo", required=True, metavar="OWNER/NAME", help="The model repository.")
@click.option("--private", is_flag=True, help="Make the repository private, if it is new.")
@click.option("--revision", help="The branch; made if it is not there.  [default: main]")
@click.option("--message", help="Of the commit.  [default: Push the run NAME]")
@click.option("--onnx", is_flag=True, help="Publish model.onnx too, of all branches together.")
@license_option
@click.option("--dry-run", is_flag=True, help="List what would be pushed, without the network.")
def command(
    run: Path,
    repo: str,
    private: bool,
    revision: str | None,
    message: str | None,
    onnx: bool,
    license_name: str | None,
    dry_run: bool,
) -> None:
    """Push the trained run in the folder RUN to a repository of the Hugging Face hub.

    Pushed are a model card, the settings, the scores, and the checkpoints that localization uses:
    enough for duetal localize once it is downloaded again. Logs, environment, ground truth,
    detections and the paths of this machine stay here. A repository that is there gets one commit
    more. The token is that of hf auth login, or HF_TOKEN.
    """
    import tempfile

    from duetal.publishing.model_card import license_in
    from duetal.publishing.public_run import open_public_run
    from duetal.publishing.upload import check_repo_name, upload, write_files

    check_repo_name(repo)
    message = message or f"Push the run {run.absolute().name}"
    with tempfile.TemporaryDirectory(prefix="duetal-") as temporary:
        folder = Path(temporary)
        license_name = license_name or license_in(run / "README.md")
        sizes = write_files(
            open_public_run(run), folder, repo, onnx=onnx, license_name=license_name
        )
        width = max(map(len, sizes))
        if dry_run:
            for path, size in sizes.items():
                say(f"{path:<{width}}  {size:>12,} bytes")
            total = f"{len(sizes)} files, {sum(sizes.values()):,} bytes"
            say(f"{total}; nothing was pushed (--dry-run)")
            return
        done = upload(folder, repo, private=private, revision=revision, message=message)
    for path, what in done.changes.items():
        say(f"{path:<{width}}  {what}")
    if done.commit is None:
        say(f"nothing has changed: {done.url}")
    else:
        say(f"pushed: {done.commit}")
