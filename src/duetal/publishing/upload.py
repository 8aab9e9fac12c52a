"""A run on the Hugging Face hub: its files, uploaded as one commit on top of what is there.

README.md                          the model card
model.json, config.yaml            without paths and names of videos
evaluation.json                    the scores, where there are any
checkpoints/<stage>.safetensors    of the final stages
model.onnx                         on request
seed-N/…                           the same of each seed, where there are several
"""

import hashlib
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import disable_progress_bars, validate_repo_id  # type: ignore[attr-defined]

from duetal.core.errors import DuetalError, UsageError, first_line
from duetal.core.files import write_text
from duetal.core.url_paths import explained
from duetal.publishing.model_card import keep_license, render_card
from duetal.publishing.onnx_graph import export_onnx
from duetal.publishing.public_run import PublicRun, public_config, public_model
from duetal.results.folder import RunFolder
from duetal.runs.detector_stage import restore_detector
from duetal.runs.stage_scoring import restore

#: What an upload may have left in a repository, and a later one may remove.
OURS = re.compile(
    r"(seed-\d+/)?(model\.json|config\.yaml|evaluation\.json|model\.onnx"
    r"|checkpoints/[^/]+\.safetensors)"
)
#: Files of weights: a repository that has some, and no run, holds a model of another kind.
_WEIGHTS = {".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".pt", ".pth", ".safetensors"}
#: The meaning of the hub's status codes.
_REFUSALS = {
    401: "the token was not accepted (hf auth login, or HF_TOKEN, gives another)",
    402: "the account has no room for it",
    403: "the token may not write there",
    404: "no such repository, or the token may not see it",
    413: "too large for the hub",
    429: "too many requests; try again later",
}


class Uploaded(NamedTuple):
    """URLs of repository and commit (None: nothing has changed), and what became of each path."""

    url: str
    commit: str | None
    changes: dict[str, str]


def check_repo_name(repo: str) -> None:
    """Raise UsageError unless a name can be that of a model repository."""
    parts = repo.split("/")
    if len(parts) == 3 and parts[0] in ("datasets", "spaces", "models"):
        cause = f"a run is pushed to a model repository, OWNER/NAME, not to {repo!r}"
        raise UsageError(cause, place="--repo")
    if len(parts) != 2:
        raise UsageError(f"OWNER/NAME, not {repo!r}", place="--repo")
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(first_line(error), place="--repo") from error


def write_files(
    published: PublicRun,
    folder: Path,
    repo: str | None = None,
    *,
    onnx: bool = False,
    license_name: str | None = None,
) -> dict[str, int]:
    """Write the files that are uploaded, a run folder again; give their sizes in bytes by path.

    `folder` is empty; the files are for the hub's repository `repo`, "owner/name". With `onnx`, an
    ONNX file of the final checkpoints together is among them. The card names the licence.

    Raises:
        DuetalError: a checkpoint is missing, damaged or of another configuration.
        UsageError: ONNX is wanted and not installed.
    """
    write_text(folder / "README.md", render_card(published, repo, license_name=license_name))
    for name, run in published.runs.items():
        out = RunFolder(folder / name)
        public_model(run.model).write(out.model_file)
        public_config(run.config).save(out.config_file)
        if name in published.evaluations:
            published.evaluations[name].write(out.evaluation_file)
        finals = run.model.finals()
        rounds = [stage.name for stage in run.model.rounds()[-1:]]
        for stage in (*finals, *rounds):
            # A damaged checkpoint is found here, not by whoever downloads it.
            (restore_detector if stage in rounds else restore)(run, stage)
            source, target = run.folder.checkpoint(stage), out.checkpoint(stage)
            target.parent.mkdir(exist_ok=True)
            with explained("copy", source):
                shutil.copyfile(source, target)
        if onnx:
            export_onnx(run, finals, out.path / "model.onnx")
    return {path: file.stat().st_size for path, file in _files(folder).items()}


def _files(folder: Path) -> dict[str, Path]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): file for file in files}


def upload(
    folder: Path, repo: str, *, private: bool = False, revision: str | None = None, message: str
) -> Uploaded:
    """Upload all files of a run's folder to a repository, and remove those of an earlier upload.

    The repository, "owner/name", and the branch `revision` are made where they are not there. With
    `private` the repository must be private; a new one is made so. The description of the commit
    lists what has changed. The licence of a card that is there is kept, if the new one names none.

    Raises:
        DuetalError: no token or one that is refused, no network, a public repository where a
            private one is wanted, or one with a model of another kind. Nothing was uploaded then.
    """
    if get_token() is None:
        raise DuetalError("no token: hf auth login keeps one, or HF_TOKEN names it", file=repo)
    disable_progress_bars()
    api = HfApi(library_name="duetal")
    with clear_errors(repo, "push"):
        url = str(api.create_repo(repo, private=private or None, exist_ok=True))
        if private and not api.model_info(repo).private:
            raise DuetalError("is there and public; nothing was pushed (--private)", file=repo)
        if revision is not None:
            api.create_branch(repo, branch=revision, exist_ok=True)
        # sha256 of large files, git's hash of the others.
        present = {
            item.path: item.lfs.sha256 if item.lfs else item.blob_id
            for item in api.list_repo_tree(repo, recursive=True, revision=revision)
            if isinstance(item, RepoFile)
        }
        weights = [path for path in present if PurePosixPath(path).suffix in _WEIGHTS]
        if weights and not any(PurePosixPath(path).name == "model.json" for path in present):
            cause = f"holds a model of another kind ({weights[0]!r}, no model.json)"
            raise DuetalError(f"{cause}; nothing was pushed", file=repo)
        if "README.md" in present:
            with tempfile.TemporaryDirectory() as old:
                api.hf_hub_download(repo, "README.md", revision=revision, local_dir=old)
                keep_license(Path(old, "README.md"), folder / "README.md")
        changes = _changes(folder, present)
        due = {path: what for path, what in changes.items() if what != "unchanged"}
        if not due:
            return Uploaded(url, None, changes)
        # Not `upload_folder`, which may make several commits: a run is never there in part.
        commit = api.create_commit(
            repo,
            [
                CommitOperationDelete(path)
                if what == "removed"
                else CommitOperationAdd(path, folder / path)
                for path, what in due.items()
            ],
            commit_message=message,
            commit_description="\n".join(f"- {what}: {path}" for path, what in due.items()),
            revision=revision,
        )
    return Uploaded(url, str(commit.commit_url), changes)


def _changes(folder: Path, present: Mapping[str, str]) -> dict[str, str]:
    """What an upload changes, by path, from the hash of each file of the repository."""
    changes = {}
    for path, file in _files(folder).items():
        content = file.read_bytes()
        blob = b"blob %d\0" % len(content) + content
        git_hash = hashlib.sha1(blob, usedforsecurity=False).hexdigest()
        hashes = (hashlib.sha256(content).hexdigest(), git_hash)
        kept = "unchanged" if present.get(path) in hashes else "changed"
        changes[path] = kept if path in present else "added"
    # Weights of an earlier upload would pass for weights of this run.
    old = [path for path in present if path not in changes and OURS.fullmatch(path)]
    return changes | dict.fromkeys(old, "removed")


@contextmanager
def clear_errors(repo: str, what: str) -> Iterator[None]:
    """Turn whatever the hub's client raises into one line, and drop its warnings.

    `what` is what was to be done, such as "push".
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DuetalError:
        raise
    except OfflineModeIsEnabled as error:
        raise DuetalError("HF_HUB_OFFLINE forbids the network", file=repo) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        reason = error.server_message or first_line(error)
        cause = f"{_REFUSALS[status]}: {reason}" if status in _REFUSALS else reason
        raise DuetalError(f"the hub refused: {cause}", file=repo) from error
    except Exception as error:  # a failed connection raises errors of several libraries
        raise DuetalError(f"cannot {what}: {first_line(error)}", file=repo) from error
