"""Pushing files to a repository of the Hugging Face hub, as one commit on top of what is there."""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from duetal.core.errors import DuetalError, UsageError
from duetal.runs.publication import OURS, PublishedFile

if TYPE_CHECKING:
    from huggingface_hub import HfApi

#: Files of weights: a repository that has some, and no run, holds a model of another kind.
_WEIGHTS = {".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".pt", ".pth", ".safetensors"}
#: What the hub's refusals mean here.
_REFUSALS = {
    401: "the token was not accepted (hf auth login, or HF_TOKEN, gives another)",
    402: "the account has no room for it",
    403: "the token may not write there",
    404: "no such repository, or the token may not see it",
    413: "too large for the hub",
    429: "too many requests; try again later",
}


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Args:
        url: of the repository.
        commit: URL of the commit; None where nothing has changed.
        changes: "added", "changed", "removed" or "unchanged", by path.
    """

    url: str
    commit: str | None
    changes: dict[str, str]


def check_repo_name(repo: str) -> None:
    """Check that a name can be that of a model repository.

    Raises:
        UsageError: it can't.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    parts = repo.split("/")
    if len(parts) == 3 and parts[0] in ("datasets", "spaces", "models"):
        cause = f"a run is pushed to a model repository, OWNER/NAME, not to {repo!r}"
        raise UsageError(cause, place="--repo")
    if len(parts) != 2:
        raise UsageError(f"OWNER/NAME, not {repo!r}", place="--repo")
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(_first_line(error), place="--repo") from error


def push(
    files: Sequence[PublishedFile],
    repo: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str,
) -> Pushed:
    """Push files to a repository, made where it is not there, and remove what a push left before.

    Args:
        files: all that the repository shall hold of a run.
        repo: "owner/name".
        private: whether the repository must be private; a new one is made so.
        revision: the branch; made where it is not there.
        message: of the commit; its description lists what has changed.

    Raises:
        UsageError: not the name of a repository.
        DuetalError: no token or one that is refused, no network, a public repository where a
            private one is wanted, or one with a model of another kind. Nothing was pushed then.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    check_repo_name(repo)
    if get_token() is None:
        raise DuetalError("no token: hf auth login keeps one, or HF_TOKEN names it", file=repo)
    disable_progress_bars()
    api = HfApi(library_name="duetal")
    with _telling(repo):
        url = api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise DuetalError("is there and public; nothing was pushed (--private)", file=repo)
        if revision is not None:
            api.create_branch(repo, branch=revision, exist_ok=True)
        there = _hashes(api, repo, revision)
        _require_ours(repo, there)
        changes = _changes(files, there)
        new = {file.path: file.content for file in files}
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationDelete(path)
            if what == "removed"
            else CommitOperationAdd(path, new[path])
            for path, what in changes.items()
            if what != "unchanged"
        ]
        if not operations:
            return Pushed(str(url), None, changes)
        commit = api.create_commit(
            repo,
            operations,
            commit_message=message,
            commit_description=_description(changes),
            revision=revision,
        )
    return Pushed(str(url), str(commit.commit_url), changes)


def _hashes(api: "HfApi", repo: str, revision: str | None) -> dict[str, str]:
    """The hash of each file of a repository: sha256 of large ones, git's of the others."""
    from huggingface_hub.hf_api import RepoFile

    return {
        item.path: item.lfs.sha256 if item.lfs else item.blob_id
        for item in api.list_repo_tree(repo, recursive=True, revision=revision)
        if isinstance(item, RepoFile)
    }


def _require_ours(repo: str, there: dict[str, str]) -> None:
    weights = [path for path in there if PurePosixPath(path).suffix in _WEIGHTS]
    runs = [path for path in there if PurePosixPath(path).name == "model.json"]
    if weights and not runs:
        cause = f"holds a model of another kind ({weights[0]!r}, no model.json); nothing was pushed"
        raise DuetalError(cause, file=repo)


def _changes(files: Sequence[PublishedFile], there: dict[str, str]) -> dict[str, str]:
    changes = {}
    for file in files:
        blob = b"blob %d\0" % len(file.content) + file.content
        hashes = (
            hashlib.sha256(file.content).hexdigest(),
            hashlib.sha1(blob, usedforsecurity=False).hexdigest(),
        )
        known = there.get(file.path)
        changes[file.path] = (
            "added" if known is None else "unchanged" if known in hashes else "changed"
        )
    for path in there:
        # Weights of an earlier push would pass for weights of this run.
        if path not in changes and OURS.fullmatch(path):
            changes[path] = "removed"
    return changes


def _description(changes: dict[str, str]) -> str:
    return "\n".join(f"- {what}: {path}" for path, what in changes.items() if what != "unchanged")


@contextmanager
def _telling(repo: str) -> Iterator[None]:
    """Turn whatever the hub's client raises into one line; keep its warnings to itself."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

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
        reason = error.server_message or _first_line(error)
        cause = f"{_REFUSALS[status]}: {reason}" if status in _REFUSALS else reason
        raise DuetalError(f"the hub refused: {cause}", file=repo) from error
    except Exception as error:  # connections fail in the words of several libraries
        raise DuetalError(f"cannot push: {_first_line(error)}", file=repo) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
