"""A stand-in for the Hugging Face hub: a real HTTP server that speaks the part of its API we use.

Creating repositories and branches, listing, preupload, LFS batch and upload, commits, downloads;
as the client (`huggingface_hub`) calls them, with the hub's status codes and error headers.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

TOKEN = "hf_of-somebody"
READER = "hf_that-may-only-read"
OWNER = "somebody"
LARGE = (".safetensors", ".onnx", ".bin")


@dataclass
class Commit:
    message: str
    description: str
    files: dict[str, bytes]

    @property
    def oid(self) -> str:
        # Of the content, too: the client takes a file of a commit that it knows from its cache.
        hashes = sorted((path, git_hash(content)) for path, content in self.files.items())
        return hashlib.sha1(repr((self.message, hashes)).encode()).hexdigest()


@dataclass
class Repo:
    private: bool = False
    branches: dict[str, list[Commit]] = field(default_factory=dict)

    def head(self, revision: str) -> Commit | None:
        if revision in self.branches:
            return self.branches[revision][-1]
        commits = (commit for branch in self.branches.values() for commit in branch)
        return next((commit for commit in commits if commit.oid == revision), None)


@dataclass
class Hub:
    """What the server knows, and where it is."""

    endpoint: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    #: Method and path of every request.
    requests: list[str] = field(default_factory=list)

    def add(self, name: str, files: dict[str, bytes], *, private: bool = False) -> Repo:
        """A repository that somebody made."""
        first = Commit("initial commit", "", {".gitattributes": b"*.bin filter=lfs\n", **files})
        self.repos[name] = Repo(private, {"main": [first]})
        return self.repos[name]


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class RefusedError(Exception):
    """An answer of another status; `more` goes into its body."""

    def __init__(self, status: int, message: str, code: str = "", **more: str):
        self.status, self.message, self.code, self.more = status, message, code, more


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{method} {path}")
        try:
            answer = self._route(method, path.strip("/").split("/"), body)
        except RefusedError as refused:
            headers = {"X-Error-Message": refused.message, "X-Error-Code": refused.code}
            answer = {"error": refused.message, **refused.more}
            self._send(refused.status, json.dumps(answer).encode(), headers)
        else:
            if isinstance(answer, tuple):
                self._send(200, *answer)
            else:
                self._send(200, json.dumps(answer).encode(), {})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _route(self, method: str, parts: list[str], body: bytes) -> Any:
        match parts:
            case ["lfs", oid] if method == "PUT":
                if hashlib.sha256(body).hexdigest() != oid:
                    raise RefusedError(400, "the content is not what was announced")
                self.hub.large[oid] = body
                return {}
            case ["api", "validate-yaml"]:
                return self._validate(json.loads(body)["content"])
            case ["api", "repos", "create"]:
                return self._create(json.loads(body))
            case [owner, name, "info", "lfs", "objects", "batch"]:
                self._writer()
                assert self.headers["Accept"] == "application/vnd.git-lfs+json"
                self._repo(f"{owner}/{name.removesuffix('.git')}")
                return {"transfer": "basic", "objects": list(map(self._place, _objects(body)))}
            case [owner, name, "resolve", revision, *file]:
                return self._resolve(f"{owner}/{name}", revision, "/".join(file))
            case ["api", "models", owner, name, *rest]:
                return self._model(f"{owner}/{name}", rest, body)
        raise RefusedError(404, f"no such address: {parts}")

    def _model(self, name: str, rest: list[str], body: bytes) -> Any:
        repo = self._repo(name)
        match rest:
            case []:
                return self._info(name, repo, "main")
            case ["revision", revision]:
                return self._info(name, repo, revision)
            case ["tree", revision]:
                return [_entry(path, data) for path, data in self._head(repo, revision).items()]
            case ["branch", branch]:
                self._writer()
                if branch in repo.branches:
                    raise RefusedError(409, "Reference already exists")
                repo.branches[branch] = list(repo.branches["main"])
                return {}
            case ["preupload", revision]:
                self._writer()
                head = self._head(repo, revision)
                return {"files": [_upload(file, head) for file in json.loads(body)["files"]]}
            case ["commit", revision]:
                self._writer()
                return self._commit(name, repo, revision, body)
        raise RefusedError(404, f"no such address: {rest}")

    def _writer(self) -> None:
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        if token not in (TOKEN, READER):
            raise RefusedError(401, "Invalid username or password.")
        if token == READER:
            raise RefusedError(403, "Forbidden: pass a token with the role 'write'")

    def _repo(self, name: str) -> Repo:
        if name not in self.hub.repos:
            raise RefusedError(404, "Repository not found", "RepoNotFound")
        return self.hub.repos[name]

    def _head(self, repo: Repo, revision: str) -> dict[str, bytes]:
        head = repo.head(revision)
        if head is None:
            raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return head.files

    def _create(self, wanted: dict[str, Any]) -> Any:
        self._writer()
        name = f"{wanted['organization']}/{wanted['name']}"
        if wanted["organization"] != OWNER:
            raise RefusedError(403, f"You don't have the rights to create a model under {name}")
        if wanted["name"].endswith("-dataset"):
            raise RefusedError(400, "a repo of another type has this name")
        url = f"{self.hub.endpoint}/{name}"
        if name in self.hub.repos:
            # As the hub does: the client takes the address out of the refusal.
            raise RefusedError(409, "You already created this model repo", url=url)
        self.hub.add(name, {}, private=wanted.get("visibility") == "private")
        return {"url": url, "name": name}

    def _info(self, name: str, repo: Repo, revision: str) -> Any:
        self._head(repo, revision)
        head = repo.head(revision)
        assert head is not None
        siblings = [{"rfilename": path} for path in head.files]
        return {"id": name, "sha": head.oid, "private": repo.private, "siblings": siblings}

    def _validate(self, content: str) -> Any:
        try:
            front = yaml.safe_load(content.split("---\n")[1])
            assert isinstance(front["tags"], list)
        except Exception as error:
            raise RefusedError(400, f"invalid metadata: {error}") from error
        return {"errors": [], "warnings": []}

    def _place(self, wanted: dict[str, Any]) -> dict[str, Any]:
        actions = {"upload": {"href": f"{self.hub.endpoint}/lfs/{wanted['oid']}"}}
        return wanted if wanted["oid"] in self.hub.large else wanted | {"actions": actions}

    def _commit(self, name: str, repo: Repo, revision: str, body: bytes) -> Any:
        lines = [json.loads(line) for line in body.splitlines()]
        header = lines[0]["value"]
        files = dict(self._head(repo, revision))
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.large:
                    raise RefusedError(400, f"{value['path']} was never uploaded")
                files[value["path"]] = self.hub.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            else:
                raise RefusedError(400, f"no such operation: {line['key']}")
        commit = Commit(header["summary"], header["description"], files)
        repo.branches[revision].append(commit)
        url = f"{self.hub.endpoint}/{name}/commit/{commit.oid}"
        return {"commitUrl": url, "commitOid": commit.oid, "success": True}

    def _resolve(self, name: str, revision: str, path: str) -> tuple[bytes, dict[str, str]]:
        repo = self._repo(name)
        files = self._head(repo, revision)
        if path not in files:
            raise RefusedError(404, "Entry not found", "EntryNotFound")
        entry = _entry(path, files[path])
        etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        head = repo.head(revision)
        assert head is not None
        return files[path], {"ETag": f'"{etag}"', "X-Repo-Commit": head.oid}


def _objects(body: bytes) -> list[dict[str, Any]]:
    return [dict(wanted) for wanted in json.loads(body)["objects"]]


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(content), "oid": git_hash(content)}
    if path.endswith(LARGE):
        oid = hashlib.sha256(content).hexdigest()
        entry["oid"] = git_hash(oid.encode())
        return entry | {"lfs": {"oid": oid, "size": len(content), "pointerSize": 134}}
    return entry


def _upload(file: dict[str, Any], head: dict[str, bytes]) -> dict[str, Any]:
    mode = "lfs" if file["path"].endswith(LARGE) else "regular"
    known = _entry(file["path"], head[file["path"]]) if file["path"] in head else {}
    oid = known.get("lfs", known).get("oid")
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running stand-in, to which `huggingface_hub` speaks with the token of `somebody`."""
    from huggingface_hub import constants

    found = Hub()
    handler = type("OfThisHub", (Handler,), {"hub": found})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    found.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", found.endpoint)
    address = f"{found.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # Its protocol for large files is no plain HTTP; the other one works everywhere.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    # For programs that a test starts.
    monkeypatch.setenv("HF_ENDPOINT", found.endpoint)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield found
    server.shutdown()
    thread.join()
    server.server_close()
