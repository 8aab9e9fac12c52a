"""Downloads from a real HTTP server that behaves, and from ones that don't."""

import hashlib
import http.server
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from duetal.backbones.download import Patience, RemoteFile, download
from duetal.core.errors import DuetalError

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(timeout=2, attempts=3, pause=0.01)


@dataclass
class Server:
    """What the server does, and what it was asked."""

    content: bytes = CONTENT
    ranges: bool = True
    etag: str | None = '"v1"'
    tells_length: bool = True
    #: Bytes after which the connection is cut, one entry for each of the first requests.
    cuts: list[int] = field(default_factory=list)
    #: Answers of the first requests instead of the file.
    statuses: list[int] = field(default_factory=list)
    redirects: bool = False
    #: Seconds that the second half of the file waits.
    pause: float = 0.0
    address: str = ""
    asked: list[str | None] = field(default_factory=list)

    def remote(self, *, sha256: str = SHA256, size: int | None = None) -> RemoteFile:
        return RemoteFile(f"{self.address}/weights.pt", sha256, size)


class Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Server

    def do_GET(self):
        how = self.behaviour
        if how.redirects and self.path != "/moved":
            self.send_response(302)
            self.send_header("Location", f"{how.address}/moved")
            self.end_headers()
            return
        how.asked.append(self.headers.get("Range"))
        if how.statuses:
            self.send_error(how.statuses.pop(0))
            return
        start = self._start()
        if start is not None and start >= len(how.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(how.content)}")
            self.end_headers()
            return
        self._send(start)

    def _start(self) -> int | None:
        wanted = self.headers.get("Range")
        unchanged = self.headers.get("If-Range") in (None, self.behaviour.etag)
        if wanted is None or not self.behaviour.ranges or not unchanged:
            return None
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    def _send(self, start: int | None):
        how = self.behaviour
        body = how.content[start or 0 :]
        self.send_response(200 if start is None else 206)
        if start is not None:
            total = len(how.content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if how.tells_length:
            self.send_header("Content-Length", str(len(body)))
        if how.etag:
            self.send_header("ETag", how.etag)
        self.end_headers()
        if how.cuts:
            self.wfile.write(body[: how.cuts.pop(0)])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.wfile.write(body[: len(body) // 2])
            time.sleep(how.pause)
            self.wfile.write(body[len(body) // 2 :])

    def log_message(self, *words):
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    behaviour = Server()
    handler = type("BoundHandler", (Handler,), {"behaviour": behaviour})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listener:
        # A client that hangs up is part of some tests, and no news.
        listener.handle_error = lambda request, client: None
        behaviour.address = f"http://127.0.0.1:{listener.server_port}"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield behaviour
        listener.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "cache" / "weights.pt"


def partial(target: Path) -> Path:
    return target.with_name("weights.pt.partial")


def begin(server: Server, target: Path, cut: int) -> None:
    """Leave what a program leaves that was killed in the middle of a download."""
    server.cuts = [cut]
    with pytest.raises(DuetalError):
        download(server.remote(), target, patience=Patience(2, attempts=1))
    assert partial(target).stat().st_size == cut
    assert not target.exists()
    server.asked.clear()


def test_a_file_arrives_with_progress_and_leaves_nothing_beside_it(server, target):
    told = []
    download(server.remote(size=len(CONTENT)), target, progress=lambda *now: told.append(now))
    assert target.read_bytes() == CONTENT
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {path.suffix for path in target.parent.iterdir()} <= {".pt", ".lock"}


def test_a_file_that_is_there_is_not_asked_for_again(server, target):
    for _ in range(2):
        download(server.remote(), target)
    assert len(server.asked) == 1


def test_a_damaged_file_is_fetched_again(server, target):
    target.parent.mkdir()
    target.write_bytes(CONTENT[:-1])
    download(server.remote(), target)
    assert target.read_bytes() == CONTENT


def test_a_transfer_that_dies_is_taken_up_where_it_broke_off(server, target):
    server.cuts = [300_000, 500_000]
    download(server.remote(), target, patience=QUICK)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=800000-"]


def test_a_connection_may_die_any_number_of_times_if_something_arrives(server, target):
    server.cuts = [100_000] * 9
    download(server.remote(), target, patience=QUICK)
    assert target.read_bytes() == CONTENT


def test_a_later_call_takes_up_what_a_killed_program_left(server, target):
    begin(server, target, 700_000)
    told = []
    download(server.remote(), target, progress=lambda *now: told.append(now))
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=700000-"]
    assert told[0] == (700_000, len(CONTENT))


def test_a_server_without_ranges_sends_all_of_it_again(server, target):
    begin(server, target, 700_000)
    server.ranges = False
    download(server.remote(), target)
    assert target.read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(server, target):
    server.content = b"old" * 100_000
    begin(server, target, 200_000)
    server.content, server.etag = CONTENT, '"v2"'
    download(server.remote(), target)
    assert target.read_bytes() == CONTENT
    # Noticed by the server, not only by the hash at the end.
    assert server.asked == ["bytes=200000-"]


def test_a_spoiled_part_is_noticed_by_the_hash_and_fetched_again(server, target):
    """A server that tells no version: only the hash shows that the parts do not fit."""
    server.etag = None
    begin(server, target, 200_000)
    partial(target).write_bytes(b"x" * 200_000)
    download(server.remote(), target)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=200000-", None]


@pytest.mark.parametrize(("extra", "asked"), [(b"", 1), (b"too long", 2)])
def test_a_part_as_long_as_the_file_or_longer(server, target, extra, asked):
    begin(server, target, len(CONTENT) - 1)
    partial(target).write_bytes(CONTENT + extra)
    download(server.remote(), target, patience=QUICK)
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == asked


def test_a_wrong_content_is_refused_and_the_next_try_starts_clean(server, target):
    server.content = b"<html>log in</html>"
    with pytest.raises(DuetalError, match=r"its sha256 is [0-9a-f]{64}, and should be") as caught:
        download(server.remote(), target)
    assert server.address in str(caught.value)
    assert not target.exists()
    assert not partial(target).exists()
    server.content = CONTENT
    download(server.remote(), target)
    assert target.read_bytes() == CONTENT


def test_a_wrong_size_is_refused_before_the_transfer(server, target):
    told = []
    with pytest.raises(DuetalError, match="has 1024000 bytes, not 5"):
        download(server.remote(size=5), target, progress=lambda *now: told.append(now))
    assert not told


def test_a_server_that_tells_no_length(server, target):
    server.tells_length = False
    told = []
    download(server.remote(), target, progress=lambda *now: told.append(now))
    assert target.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), None)


def test_an_early_end_shows_by_the_known_size_where_the_server_tells_no_length(server, target):
    server.tells_length = False
    server.cuts = [400_000]
    download(server.remote(size=len(CONTENT)), target, patience=QUICK)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=400000-"]


def test_a_redirection_is_followed(server, target):
    server.redirects = True
    begin(server, target, 500_000)
    download(server.remote(), target)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=500000-"]


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 3), (429, 3)])
def test_only_passing_failures_are_tried_again(server, target, status, requests):
    server.statuses = [status] * 10
    with pytest.raises(DuetalError, match=f"cannot download: the server says {status}") as caught:
        download(server.remote(), target, patience=QUICK)
    assert len(server.asked) == requests
    assert "\n" not in str(caught.value)


def test_a_busy_server_is_asked_again(server, target):
    server.statuses = [503, 502]
    download(server.remote(), target, patience=QUICK)
    assert target.read_bytes() == CONTENT


def test_a_server_that_always_breaks_off_at_once_is_given_up(server, target):
    server.cuts = [0] * 10
    with pytest.raises(DuetalError, match="the connection ended after 0 of 1024000 bytes"):
        download(server.remote(), target, patience=QUICK)
    assert len(server.asked) == 3


def test_nobody_listens(target):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/weights.pt"
        with pytest.raises(DuetalError, match="cannot download: Connection refused"):
            download(RemoteFile(address, SHA256), target, patience=QUICK)


def test_a_silent_server_is_not_waited_for_forever(target):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/weights.pt"
        with pytest.raises(DuetalError, match="no answer in time"):
            download(RemoteFile(address, SHA256), target, patience=Patience(0.1, attempts=1))


def test_other_schemes_are_not_followed(tmp_path, target):
    (tmp_path / "secret").write_bytes(CONTENT)
    with pytest.raises(DuetalError, match="not an http address"):
        download(RemoteFile((tmp_path / "secret").as_uri(), SHA256), target)


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DuetalError, match="cannot write"):
        download(server.remote(), tmp_path / "file" / "weights.pt")


def test_processes_that_want_the_same_file_share_one_download(server, target):
    server.pause = 0.6  # long enough for all of them to want it at once
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=download, args=(server.remote(), target)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert target.read_bytes() == CONTENT
    assert server.asked == [None]
