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

from duetal.backbones import weights
from duetal.backbones.weights import RetryPolicy
from duetal.core.errors import DuetalError

CONTENT = bytes(range(256)) * 4000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
QUICK = RetryPolicy(timeout=2, attempts=3, pause=0.01)


@dataclass
class Server:
    """How the server behaves, and how many requests it got."""

    content: bytes = CONTENT
    sends_length: bool = True
    #: Bytes after which the connection is cut, one entry for each of the first requests.
    cuts: list[int] = field(default_factory=list)
    #: Answers of the first requests instead of the file.
    statuses: list[int] = field(default_factory=list)
    redirects: bool = False
    #: Seconds that the second half of the file waits.
    pause: float = 0.0
    address: str = ""
    requests: int = 0


class Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Server

    def do_GET(self):
        how = self.behaviour
        if how.redirects and self.path != "/moved":
            self.send_response(302)
            self.send_header("Location", f"{how.address}/moved")
            self.end_headers()
            return
        how.requests += 1
        if how.statuses:
            self.send_error(how.statuses.pop(0))
            return
        self.send_response(200)
        if how.sends_length:
            self.send_header("Content-Length", str(len(how.content)))
        self.end_headers()
        if how.cuts:
            self.wfile.write(how.content[: how.cuts.pop(0)])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            half = len(how.content) // 2
            self.wfile.write(how.content[:half])
            time.sleep(how.pause)
            self.wfile.write(how.content[half:])

    def log_message(self, *args):
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


def download(server: Server, target: Path, **how: object) -> None:
    weights.download(f"{server.address}/weights.pt", DIGEST, target, policy=QUICK, **how)


def test_a_file_arrives_with_progress_and_leaves_nothing_beside_it(server, target):
    calls = []
    download(server, target, on_download=lambda *now: calls.append(now))
    assert target.read_bytes() == CONTENT
    assert calls[-1] == (len(CONTENT), len(CONTENT))
    assert {path.suffix for path in target.parent.iterdir()} <= {".pt", ".lock"}


def test_a_file_that_is_there_is_not_downloaded_again(server, target):
    for _ in range(2):
        download(server, target)
    assert server.requests == 1


def test_a_damaged_file_is_fetched_again(server, target):
    target.parent.mkdir()
    target.write_bytes(CONTENT[:-1])
    download(server, target)
    assert target.read_bytes() == CONTENT


def test_a_file_is_as_readable_as_any_other(server, target):
    download(server, target)
    ordinary = target.with_name("ordinary")
    ordinary.touch()
    assert target.stat().st_mode == ordinary.stat().st_mode


def test_a_transfer_that_dies_is_tried_again(server, target):
    server.cuts = [300_000, 500_000]
    download(server, target)
    assert target.read_bytes() == CONTENT
    assert server.requests == 3


def test_a_wrong_content_is_refused_and_thrown_away(server, target):
    server.content = b"<html>log in</html>"
    with pytest.raises(DuetalError, match=r"its sha256 is [0-9a-f]{64}, and should be") as caught:
        download(server, target)
    assert server.address in str(caught.value)
    assert {path.suffix for path in target.parent.iterdir()} <= {".lock"}
    server.content = CONTENT
    download(server, target)
    assert target.read_bytes() == CONTENT


def test_a_server_that_sends_no_length(server, target):
    server.sends_length = False
    calls = []
    download(server, target, on_download=lambda *now: calls.append(now))
    assert target.read_bytes() == CONTENT
    assert {total for _, total in calls} == {None}


def test_an_early_end_shows_by_the_hash_where_the_server_sends_no_length(server, target):
    server.sends_length = False
    server.cuts = [400_000]
    with pytest.raises(DuetalError, match="and should be"):
        download(server, target)
    assert not target.exists()


def test_a_redirection_is_followed(server, target):
    server.redirects = True
    download(server, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 3), (429, 3)])
def test_only_passing_failures_are_tried_again(server, target, status, requests):
    server.statuses = [status] * 10
    with pytest.raises(DuetalError, match=f"cannot download: the server answers {status}") as error:
        download(server, target)
    assert server.requests == requests
    assert "\n" not in str(error.value)


def test_a_busy_server_is_tried_again(server, target):
    server.statuses = [503, 502]
    download(server, target)
    assert target.read_bytes() == CONTENT


def test_a_server_that_always_breaks_off_is_given_up(server, target):
    server.cuts = [0] * 10
    with pytest.raises(DuetalError, match="cannot download: "):
        download(server, target)
    assert server.requests == 3


def test_nobody_listens(target):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = Server(address=f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(DuetalError, match="cannot download: Connection refused"):
            download(nobody, target)


def test_a_silent_server_is_not_waited_for_forever(target):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/weights.pt"
        policy = RetryPolicy(0.1, attempts=1)
        with pytest.raises(DuetalError, match="no answer in time"):
            weights.download(address, DIGEST, target, policy=policy)


def test_other_schemes_are_not_followed(tmp_path, target):
    (tmp_path / "secret").write_bytes(CONTENT)
    with pytest.raises(DuetalError, match="cannot download"):
        weights.download((tmp_path / "secret").as_uri(), DIGEST, target, policy=QUICK)


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DuetalError, match="cannot write"):
        download(server, tmp_path / "file" / "weights.pt")


def test_a_file_is_checked_by_its_git_blob_id(server, target):
    blob = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    address = f"{server.address}/weights.pt"
    with pytest.raises(DuetalError, match=r"its git blob id is \w+, and should be 0000"):
        weights.download(address, f"git:{'0' * 40}", target, policy=QUICK)
    assert not target.exists()
    weights.download(address, f"git:{blob}", target, policy=QUICK)
    assert target.read_bytes() == CONTENT
    weights.download(address, f"git:{blob}", target, policy=QUICK)
    assert server.requests == 2


def test_processes_that_want_the_same_file_share_one_download(server, target):
    server.pause = 0.6  # long enough for all of them to want it at once
    args = (f"{server.address}/weights.pt", DIGEST, target)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=weights.download, args=args) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert target.read_bytes() == CONTENT
    assert server.requests == 1
