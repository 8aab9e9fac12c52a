"""Live sources of every kind: what they give, what is lost, and what cannot be opened."""

import http.server
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import av
import pytest

from duetal.core.annotations import Segment
from duetal.core.errors import DuetalError, UsageError
from duetal.core.grid import TimeGrid
from duetal.live.live_frames import LATEST, LiveFrames
from duetal.live.live_source import LiveSource
from duetal.simulation.clips import render_clip
from duetal.video.decoding.video_reader import open_video

SECONDS = 3.0
GRID = TimeGrid(25.0, 16, 16)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    render_clip(path, duration=SECONDS, actions=[Segment(1.0, 2.0, "HighJump")], seed=3)
    return path


def send(clip: Path, to: str | Path, form: str, **options: str) -> None:
    """The clip's packets to an address or a file, in another container."""
    with av.open(str(clip)) as source, av.open(str(to), "w", format=form, options=options) as sink:
        (video,) = source.streams.video
        stream = sink.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def frames_of(source: LiveSource, sessions: int = 1, **how: object) -> list[tuple[float, int]]:
    """Begin and number of frames of the first sessions."""
    chosen = {"speed": 0.0, "loses": False} | how
    found = []
    for session in source.sessions():
        with LiveFrames(session, GRID, 32, **chosen) as frames:  # type: ignore[arg-type]
            found.append((session.begin, sum(1 for _ in frames)))
        if len(found) == sessions:
            break
    return found


def test_a_file_as_if_live_has_the_frames_of_the_file(clip: Path) -> None:
    with open_video(clip) as video:
        expected = [frame.image for frame in video.frames(25.0, 32)]
    sessions = LiveSource(str(clip)).sessions()
    with LiveFrames(next(sessions), GRID, 32, speed=0, loses=False) as frames:
        got = list(frames)
    assert next(sessions, None) is None
    assert [frame.index for frame in got] == list(range(len(expected)))
    assert all((frame.image == image).all() for frame, image in zip(got, expected, strict=True))
    assert not any(frame.lost for frame in got)


def test_a_file_plays_at_its_speed(clip: Path) -> None:
    began = time.monotonic()
    frames_of(LiveSource(str(clip)), speed=3.0)
    assert time.monotonic() - began > 0.9 * SECONDS / 3


def test_frames_that_come_when_too_many_wait_are_lost_by_whole_snippets(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duetal.live.live_frames.LATEST", 20 / 25)
    sessions = LiveSource(str(clip)).sessions()
    with LiveFrames(next(sessions), GRID, 32, speed=0, loses=True) as frames:
        time.sleep(2)  # All of it has come before the first frame is looked at.
        got = list(frames)
    assert [frame.index for frame in got] == list(range(75))
    assert [frame.index for frame in got if frame.lost] == list(range(32, 75))
    assert all(frame.image is got[31].image for frame in got[32:])
    assert LATEST >= 2  # Seconds, for a machine that hiccups.


def test_standard_input(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(clip, tmp_path / "clip.ts", "mpegts")
    reader, writer = os.pipe()

    def feed() -> None:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write((tmp_path / "clip.ts").read_bytes())

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(reader, "rb") as pipe:
        monkeypatch.setattr("sys.stdin", pipe)
        assert frames_of(LiveSource("-")) == [(0.0, 75)]
    thread.join()


def test_datagrams_until_nothing_comes(clip: Path) -> None:
    port, told = free_port(), []
    source = LiveSource(f"udp://127.0.0.1:{port}", wait=2.0, notify=told.append)

    def feed() -> None:
        for _ in range(4):  # What is sent before anybody listens is nowhere.
            send(clip, f"udp://127.0.0.1:{port}?pkt_size=1316", "mpegts")
            time.sleep(0.3)

    thread = threading.Thread(target=feed)
    thread.start()
    ((begin, count),) = frames_of(source)
    thread.join()
    assert begin == 0
    assert count > 25
    assert told == ["no picture for 2 s"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address at which a folder is served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    handler = partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_stream_that_comes_back_is_another_session(
    tmp_path: Path, clip: Path, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duetal.live.live_source._PAUSES", (0.2,))
    send(clip, tmp_path / "live.m3u8", "hls", hls_time="1", hls_list_size="0")
    told: list[str] = []
    source = LiveSource(f"{served}/live.m3u8", notify=told.append)
    (first, second) = frames_of(source, sessions=2)
    assert first == (0.0, 75)
    assert second[0] > 0.2
    assert second[1] == 75
    assert [line.partition(" after")[0] for line in told] == [
        "the source ended; waiting for it to come back", "the source is back",
    ]  # fmt: skip


def test_patience_ends(
    tmp_path: Path, clip: Path, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duetal.live.live_source._PAUSES", (0.1,))
    send(clip, tmp_path / "clip.ts", "mpegts")
    source = LiveSource(f"{served}/clip.ts", patience=0.3)
    sessions = source.sessions()
    next(sessions)
    (tmp_path / "clip.ts").unlink()
    with pytest.raises(DuetalError, match=r"clip\.ts: it did not come back in 0\.3 s: "):
        next(sessions)


def _nothing(folder: Path) -> str:
    return str(folder / "none.mp4")


def _text(folder: Path) -> str:
    path = folder / "words.mp4"
    path.write_text("no video")
    return str(path)


def _playlist_of_a_file(folder: Path) -> str:
    (folder / "secret.ts").write_bytes(b"G" * 188)
    path = folder / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{folder}/secret.ts\n")
    return str(path)


@pytest.mark.parametrize(
    ("make", "error", "cause"),
    [
        (_nothing, DuetalError, "no such file"),
        (_text, DuetalError, "not a video"),
        (_playlist_of_a_file, DuetalError, "not a video"),
        (lambda _: "gopher://camera", UsageError, "unknown kind of address 'gopher'"),
        (lambda _: f"tcp://127.0.0.1:{free_port()}", DuetalError, "Connection refused"),
        (lambda _: "/dev/null", DuetalError, "cannot be opened as a live source"),
    ],
)
def test_what_cannot_be_watched(
    tmp_path: Path, make: Callable[[Path], str], error: type[DuetalError], cause: str
) -> None:
    address = make(tmp_path)
    with pytest.raises(error) as raised:
        next(LiveSource(address, wait=2.0).sessions())
    assert cause in str(raised.value)
    assert address in str(raised.value)
