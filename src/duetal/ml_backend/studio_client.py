"""What is asked of a Label Studio server: its annotations, and the videos uploaded to it.

The token is that of a user: a personal access token, which is exchanged for short-lived ones, or a
legacy token. It is sent to this server alone.
"""

import json
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import replacing

#: The environment variable that holds the token.
TOKEN = "LABEL_STUDIO_API_KEY"  # noqa: S105
#: Seconds that a connection, and each part of an answer, may take.
_PATIENCE = (5, 60)
_PIECE = 2**20


class LabelStudio:
    """A server at an address such as `http://localhost:8080`, asked with a token.

    Every method raises a DuetalError where the server is not there, refuses the token, or answers
    as no Label Studio does.
    """

    def __init__(self, address: str, token: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise UsageError(f"--label-studio: {address!r} is no address such as http://host:8080")
        self.address, self._token = address.rstrip("/"), token.strip()
        if not self._token or not self._token.isascii() or not self._token.isprintable():
            cause = f"{TOKEN} must hold a token of Label Studio (Account & Settings)"
            raise UsageError(cause, file=self.address)

    def version(self) -> str:
        """The server's version, once it has taken the token."""
        about = self._json("/api/version")
        release = about.get("release") if isinstance(about, dict) else None
        if not isinstance(release, str):
            raise DuetalError("does not say that it is Label Studio", file=self.address)
        # The version is told to anybody.
        self._json("/api/current-user/whoami")
        return release

    def annotated_tasks(self, project: int) -> list[Any]:
        """The tasks of a project that have annotations, as the export JSON has them."""
        tasks = self._json(f"/api/projects/{int(project)}/export", exportType="JSON")
        if not isinstance(tasks, list):
            raise DuetalError("exports no list of tasks", file=self.address)
        return tasks

    def download(self, path: str, target: Path) -> None:
        """Copy what is at a path of the server, such as `/data/upload/1/3f2a1b9c-jump.mp4`."""
        with closing(self._ask(path, stream=True)) as answer, replacing(target) as temporary:
            if answer.headers.get("Content-Type", "").startswith("text/html"):
                raise DuetalError("answers with a page, and not with the video", file=answer.url)
            try:
                with temporary.open("wb") as file:
                    for piece in answer.iter_content(_PIECE):
                        file.write(piece)
            except requests.RequestException as error:
                raise self._gone(error) from error

    def _json(self, path: str, **query: str) -> Any:
        answer = self._ask(path, params=query)
        try:
            return answer.json()
        except (ValueError, RecursionError) as error:
            cause = f"{path} answers no JSON: another version of Label Studio, or another program"
            raise DuetalError(cause, file=self.address) from error

    def _ask(self, path: str, **how: Any) -> requests.Response:
        try:
            headers = {"Authorization": self._authorization()}
            answer = requests.get(self.address + path, headers=headers, timeout=_PATIENCE, **how)
        except requests.RequestException as error:
            raise self._gone(error) from error
        self._require_success(answer, path)
        return answer

    def _authorization(self) -> str:
        if self._token.count(".") != 2:
            return f"Token {self._token}"
        # A personal access token is a JWT that gives others, which last for minutes.
        address = f"{self.address}/api/token/refresh"
        answer = requests.post(
            address, json={"refresh": self._token}, timeout=_PATIENCE, allow_redirects=False
        )
        self._require_success(answer, "/api/token/refresh")
        try:
            return f"Bearer {answer.json()['access']}"
        except (ValueError, KeyError, TypeError) as error:
            raise DuetalError("/api/token/refresh gives no token", file=self.address) from error

    def _require_success(self, answer: requests.Response, path: str) -> None:
        status = answer.status_code
        if status in (401, 403):
            cause = f"refuses the token in {TOKEN} ({status}): {_detail(answer)}"
            raise DuetalError(cause, file=self.address)
        if status == 404:
            cause = "is not there: removed, or of another version of Label Studio"
            raise DuetalError(cause, file=self.address, place=path)
        if not 200 <= status < 300:
            raise DuetalError(f"answers {status}: {_detail(answer)}", file=self.address, place=path)

    def _gone(self, error: Exception) -> DuetalError:
        return DuetalError(f"Label Studio cannot be reached: {_reason(error)}", file=self.address)


def _reason(error: Exception) -> str:
    """The innermost cause of an error of requests, which wraps them in one another."""
    inner = error
    while isinstance(next_one := (inner.__cause__ or inner.__context__), Exception):
        inner = next_one
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return f"{text:.200}"


def _detail(answer: requests.Response) -> str:
    """What an answer says is wrong, in a line."""
    try:
        said = json.loads(answer.text[:10_000])
        text = str(said["detail"])
    except (ValueError, KeyError, TypeError, RecursionError):
        text = answer.reason or ""
    return f"{text.strip()[:200]!s}"
