"""Opening, scrolling and saving of a review: `python benchmarks/review_scrolling.py`.

A review of THUMOS14's size (213 videos, 30,000 detections, scores of two branches), served by
`duetal review` and opened in headless Chromium: seconds until it is drawn, milliseconds of each
frame while the list of videos, the table of a video and the page scroll and while the playhead
moves, milliseconds from a key to what it does, saved on the disk and shown, and to the order of
what to look at next. Chromium draws as fast as it can here, without waiting for a screen, so that a
frame lasts as long as its work.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from _detections import made_up_annotations, made_up_detections
from duetal.formats.activitynet import write_detections
from duetal.pages.player import PlayedVideo, PlayerPage, embed
from report import CHROMIUM, CLASSES, DETECTIONS, FRAMES, SWITCHES, TIMED, VIDEOS, curves

STEPS = {
    "videos": "document.getElementById('videos').scrollTop = 37 * frame % 9000;",
    "table": "document.getElementById('found').scrollTop = 17 * frame % 3000;",
    "page": "scrollTo({ top: 17 * frame % (document.body.scrollHeight - innerHeight),"
    " behavior: 'instant' });",
    "playhead": "document.getElementById('timeline').dispatchEvent(new KeyboardEvent('keydown',"
    " { key: '.', bubbles: true }));",
}
SAVED = """(key) => new Promise((done) => {
    const saved = document.getElementById('saved');
    const began = performance.now();
    new MutationObserver((_, watch) => {
        watch.disconnect();
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
    }).observe(saved, { childList: true });
    document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
})"""

#: Milliseconds until the order of what to look at next is there.
ORDERED = """async () => {
  const began = performance.now();
  await (await fetch('/next')).json();
  return performance.now() - began;
}"""


def main() -> None:
    """Run everything and print one line each."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        found = make_found(Path(folder) / "found")
        words = ["-m", "duetal", "review", str(found), "--no-browser"]
        with subprocess.Popen(
            [sys.executable, *words], stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            address = next(line.strip() for line in server.stdout if "http://" in line)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
            try:
                measure(browser, address)
            finally:
                browser.close()
                server.terminate()


def make_found(folder: Path) -> Path:
    """A folder as of `duetal localize`, whose videos are nowhere."""
    annotations = made_up_annotations(videos=VIDEOS, segments=3300, classes=CLASSES)
    detections = made_up_detections(annotations, DETECTIONS)
    detections = detections.take(detections.start < detections.end)
    random = np.random.default_rng(0)
    embedded = []
    for index, name in enumerate(detections.videos):
        own = detections.take(detections.video == index)
        scores = {branch: curves(random, annotations) for branch in ("cbp", "vlp")}
        duration = annotations.videos[name].duration or 60.0
        embedded.append(embed(PlayedVideo(name, duration, curves=scores), own))
    folder.mkdir()
    write_detections(folder / "detections.json", detections)
    page = PlayerPage("made up", "ensemble", branches={"cbp": "CBP", "vlp": "VLP"})
    page.write(folder / "index.html", detections.classes, embedded)
    return folder


def tell(what: str, times: Any) -> None:
    """Print the median and the 95th percentile."""
    print(f"{what + ':':14} median {np.median(times):6.1f}  p95 {np.percentile(times, 95):6.1f}")


def measure(browser: Any, address: str) -> None:
    """Open the review and measure in it."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    began = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    print(f"opens in {time.perf_counter() - began:.2f} s")
    rows = page.locator("#statements tbody tr").count()
    print(f"{page.inner_text('#overview')}; {rows} in the first video")
    for name, step in STEPS.items():
        times = np.array(page.evaluate(TIMED % step, FRAMES))
        tell(f"{name} ms", times)
    page.keyboard.press("n")
    times = np.array([page.evaluate(SAVED, "ax"[turn % 2]) for turn in range(100)])
    tell("key to saved", times)
    tell("order anew", np.array([page.evaluate(ORDERED) for _ in range(20)]))


if __name__ == "__main__":
    main()
