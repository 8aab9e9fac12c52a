"""Pages of made-up runs, and a browser to look at them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from browsing import browser
from made_up_runs import FakeRun, fake_run, fake_seeds

__all__ = ["browser", "fake_run", "fake_seeds"]


@dataclass(frozen=True)
class Explored:
    """A run folder and its page, made once and only looked at."""

    folder: Path
    page: Path

    def read(self, name: str) -> Any:
        """A JSON file of the run."""
        return json.loads((self.folder / name).read_text())


@pytest.fixture(scope="session")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Explored:
    """A run of 40 evaluated and 3 training videos."""
    from duetal.pages import write_report

    folder = tmp_path_factory.mktemp("explored") / "my-run"
    run = FakeRun(videos=40, training=3, mean_seconds=60)
    run.write(folder)
    return Explored(folder, write_report(folder).path)


@dataclass
class Watched:
    """A page, and everything it must not do."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def look(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a file and watch it; at the end nothing may have been complained of or asked for.

    `media` are the files that it may ask for besides itself.
    """
    opened: list[tuple[Watched, set[str]]] = []

    def open_page(path: Path, *, media: tuple[Path, ...] = (), **settings: Any) -> Any:
        settings.setdefault("viewport", {"width": 1200, "height": 900})
        page = browser.new_page(**settings)
        watched = Watched(page)
        page.on("console", lambda message: watched.complaints.append(message.text))
        page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        page.on("dialog", lambda dialog: watched.complaints.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: watched.requests.append(request.url))
        page.set_default_timeout(30_000)
        page.goto(path.as_uri())
        opened.append((watched, {unquote(file.as_uri()) for file in media}))
        return page

    yield open_page
    for watched, allowed in opened:
        assert watched.complaints == []
        # The page itself and its icon, which is part of it.
        asked = [url for url in watched.requests[1:] if not url.startswith("data:")]
        assert [url for url in asked if unquote(url) not in allowed] == []
        watched.page.close()
