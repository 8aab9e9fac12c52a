"""The documentation's site: built strictly, whole, and with nothing fetched from elsewhere."""

import functools
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit
from xml.etree import ElementTree

import pytest
from documentation import ROOT

DOCS = ROOT / "docs"
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@dataclass
class Page(HTMLParser):
    """The links, resources and anchors of one built page."""

    path: Path
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=lambda: {""})

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := given.get(key))}
        target = given.get("href") or given.get("src")
        if target is None:
            return
        if tag == "a":
            self.links.append(target)
        elif given.get("rel") not in ("canonical", "next", "prev"):  # these are never fetched
            self.loads.append(target)

    def place(self, target: str) -> tuple[Path, str]:
        """The file and the anchor that a relative link leads to."""
        path, anchor = urldefrag(target)
        place = (self.path.parent / unquote(path)).resolve() if path else self.path
        return (place / "index.html" if place.is_dir() else place), unquote(anchor)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site").resolve()
    shutil.copy(ROOT / "zensical.toml", folder)
    shutil.copytree(DOCS, folder / "docs")
    done = build(folder)
    assert done.returncode == 0, done.stdout
    return folder / "site"


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    done.stdout = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)  # its colours
    return done


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def is_outside(target: str) -> bool:
    return bool(urlsplit(target).scheme or urlsplit(target).netloc)


def named_in(navigation: object) -> Iterator[str]:
    """The pages of the navigation, in their order."""
    if isinstance(navigation, str):
        yield navigation
    elif isinstance(navigation, list | dict):
        for item in navigation if isinstance(navigation, list) else navigation.values():
            yield from named_in(item)


def test_every_page_is_in_the_navigation_once():
    settings = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    there = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
    assert sorted(named_in(settings["project"]["nav"])) == there


def test_every_link_leads_to_a_place_of_the_site(pages):
    """A page of docs/ can link to pages of docs/ alone; other files are named, not linked."""
    broken = []
    for page in pages.values():
        for target in page.links + page.loads:
            if is_outside(target) or page.path.name == "404.html":
                continue
            place, anchor = page.place(target)
            known = pages[place].anchors if place in pages else {""}
            if not place.exists() or anchor not in known:
                broken.append(f"{page.path.name}: {target}")
    assert broken == []


def test_every_page_can_be_reached_from_the_first(site, pages):
    seen, ahead = set(), [site / "index.html"]
    while ahead:
        path = ahead.pop()
        if path in pages and path not in seen:
            seen.add(path)
            links = [target for target in pages[path].links if not is_outside(target)]
            ahead += [pages[path].place(target)[0] for target in links]
    assert set(pages) - seen == {site / "404.html"}


def test_links_to_elsewhere_are_well_formed(pages):
    outside = {target for page in pages.values() for target in page.links if is_outside(target)}
    assert len(outside) > 3
    wrong = [t for t in outside if not re.fullmatch(r"https://[\w.-]+\.[a-z]+(/[!-~]*)?", t)]
    assert wrong == []


def test_no_page_loads_anything_from_elsewhere(site, pages):
    loaded = {target for page in pages.values() for target in page.loads}
    assert loaded
    assert [target for target in loaded if is_outside(target)] == []
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']*", styles) == []


def test_figures_are_small_and_whole():
    images = sorted((DOCS / "images").glob("*.svg"))
    assert len(images) >= 4
    for image in images:
        text = image.read_text(encoding="utf-8")
        assert len(text) < 150_000
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(text).iter()}
        assert "path" in tags
        assert not tags & {"script", "image", "foreignObject"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x](absent.md)", "page does not exist"),
        ("[x](training.md#absent)", "anchor does not exist"),
    ],
)
def test_a_broken_link_stops_the_build(text, message, tmp_path):
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    shutil.copytree(DOCS, tmp_path / "docs")
    with (tmp_path / "docs" / "nan.md").open("a", encoding="utf-8") as page:
        page.write(f"\n{text}\n")
    done = build(tmp_path)
    assert done.returncode != 0
    assert message in done.stdout


# --- in a browser -------------------------------------------------------------------------------


class Silent(SimpleHTTPRequestHandler):
    """A file server that does not write a line for each request."""

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_browser_requests_nothing_from_elsewhere_and_logs_nothing(site, pages, address):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium found: the site was NOT opened in a browser")
    requested, messages = set(), []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.on("request", lambda request: requested.add(request.url))
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        for path in sorted(pages):
            if path.name != "404.html":
                tab.emulate_media(color_scheme="light")
                tab.goto(f"{address}/{path.relative_to(site)}", wait_until="networkidle")
                for scheme in ("light", "dark"):
                    tab.emulate_media(color_scheme=scheme)
                    width = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
                    assert width <= 0, f"{path.name} is wider than the window, {scheme}"
        browser.close()
    assert messages == []
    outside = [url for url in requested if not url.startswith((address, "data:", "blob:"))]
    assert outside == []
