"""A review of two rendered clips, as a folder and served on a port of its own."""

import http.client
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from duetal.core.annotations import Segment
from duetal.core.detections import Detections
from duetal.formats import activitynet
from duetal.pages.player import PlayedVideo, PlayerPage, embed
from duetal.simulation.clips import render_clip

pytest.importorskip("starlette", reason="starlette is not installed")

#: The second's name would be markup, if it were taken for that.
NAMES = ("first", "<img src=x onerror=alert(1)>")
CLASSES = ("HighJump", "Diving")
DURATION = 8.0
#: Of each video: label, start, end, score.
FOUND = (
    ("HighJump", 0.5, 2.0, 0.9),
    ("Diving", 1.5, 3.0, 0.6),
    ("HighJump", 2.5, 4.0, 0.5),
    ("Diving", 6.0, 7.0, 0.05),
)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`clips/` with the videos, and `found/` as of `duetal localize`; not to be written to."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "clips").mkdir()
    actions = [Segment(start, end, label) for label, start, end, _ in FOUND]
    first = render_clip(
        folder / "clips" / f"{NAMES[0]}.webm", duration=DURATION, size=(96, 64), actions=actions,
        codec="libvpx-vp9", options=(("deadline", "realtime"), ("cpu-used", "8")),
    )  # fmt: skip
    shutil.copy(first, folder / "clips" / f"{NAMES[1]}.webm")
    (folder / "found").mkdir()
    embedded = []
    for name in NAMES:
        own = Detections.from_rows([(name, *row) for row in FOUND], classes=CLASSES)
        ramp = np.linspace(0, 1, 12)[:, None] * np.ones((1, 2))
        url = f"./../clips/{quote(name)}.webm"
        video = PlayedVideo(name, DURATION, url, curves={"cbp": ramp, "vlp": 1 - ramp})
        embedded.append(embed(video, own))
    rows = [(name, *row) for name in NAMES for row in FOUND]
    activitynet.write_detections(
        folder / "found" / "detections.json", Detections.from_rows(rows, classes=CLASSES)
    )
    page = PlayerPage("run", "ensemble", branches={"cbp": "CBP", "vlp": "VLP"}, floor=0.1)
    page.write(folder / "found" / "index.html", CLASSES, embedded)
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "place")


@dataclass
class Answer:
    """What a server answers."""

    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)


@dataclass
class Served:
    """A served review, asked over a socket, so that every header is ours."""

    port: int
    token: str
    service: Any

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def ask(self, path: str, value: Any = None, *, method: str = "", **headers: Any) -> Answer:
        """Ask as the page does; a header of None is left out, "_" in a name is "-"."""
        own = f"127.0.0.1:{self.port}"
        sent: dict[str, Any] = {
            "host": own, "cookie": f"duetal-review-{self.port}={self.token}",
        }  # fmt: skip
        body = value
        if value is not None:
            sent |= {"origin": f"http://{own}", "content-type": "application/json"}
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
        sent |= {name.replace("_", "-"): text for name, text in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(
                method or ("GET" if body is None else "POST"), path,
                skip_host=True, skip_accept_encoding=True,
            )  # fmt: skip
            for name, text in sent.items():
                if text is not None:
                    connection.putheader(name, text)
            if body is not None:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            names = {name.lower(): text for name, text in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def act(
        self, verb: str, *, video: int = 0, version: int | None = None, **action: Any
    ) -> Answer:
        """Do something, by default having seen the present state."""
        if version is None:
            version = self.service.corrections.version(self.service.names[video])
        action = {"verb": verb, **action}
        return self.ask("/act", {"video": video, "version": version, "action": action})


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., Served]]:
    """Serve an open review until the end of the module."""
    import uvicorn

    from duetal.review import serving
    from duetal.review.open_review import OpenReview

    running: list[tuple[uvicorn.Server, threading.Thread, OpenReview]] = []

    def start(review: OpenReview) -> Served:
        ready, found = threading.Event(), {}
        servers: list[uvicorn.Server] = []

        def tell(address: str) -> None:
            found["address"] = address
            ready.set()

        class Kept(uvicorn.Server):
            def __init__(self, config: uvicorn.Config) -> None:
                super().__init__(config)
                servers.append(self)
                found["app"] = config.app

            def install_signal_handlers(self) -> None:
                """Signals are for the main thread."""

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(uvicorn, "Server", Kept)
            thread = threading.Thread(target=serving.serve, args=(review, 0, tell), daemon=True)
            thread.start()
            assert ready.wait(30)
        running.append((servers[0], thread, review))
        address, _, token = found["address"].partition("/?token=")
        return Served(int(address.rpartition(":")[2]), token, found["app"].app.state.service)

    yield start
    for server, thread, review in running:
        server.should_exit = True
        thread.join(30)
        review.corrections.close()


@pytest.fixture
def served(place: Path, serve: Callable[..., Served]) -> Served:
    """The review of what was found, served."""
    from duetal.review.open_review import open_review

    return serve(open_review(place / "found", place / "found", [os.fspath(place / "clips")]))


@pytest.fixture(scope="module")
def standing(
    made: Path, serve: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory
) -> Served:
    """The same for all tests of a module; none of them may change it."""
    from duetal.review.open_review import open_review

    place = shutil.copytree(made, tmp_path_factory.mktemp("standing") / "place")
    return serve(open_review(place / "found", place / "found", [os.fspath(place / "clips")]))
