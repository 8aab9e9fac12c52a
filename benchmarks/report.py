"""Size, opening and scrolling of the page: `python benchmarks/report.py [--data FOLDER]`.

`--videos 5000` adds a run of so many evaluated and training videos, which the page has to thin.

Pages of a made-up run of THUMOS14's size (213 videos, 30,000 detections of the last stage and of
each of six before it, scores of two branches, pseudo-labels of 200 training videos), and of the
real detections where the real data is at hand, opened in headless Chromium: bytes, seconds until
the page is drawn and answers, and milliseconds of each frame while the list of videos and the
page itself scroll, and while a threshold moves. Chromium draws as fast as it can here, without
waiting for a screen, so that a frame lasts as long as its work.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright
from safetensors.numpy import save_file

from _detections import REAL_DATA, made_up_annotations, made_up_detections, real
from duetal import __version__
from duetal.core.annotations import Annotations
from duetal.core.grid import TimeGrid
from duetal.evaluation import protocol_named
from duetal.formats.activitynet import write_annotations, write_detections
from duetal.pages import PageEntry, write_contenders, write_report
from duetal.results.schema import BranchRecord, ModelRecord, StageRecord

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-frame-rate-limit", "--disable-gpu-vsync"]
STAGES = ("cbp-warmup", "vlp-zeroshot", "vlp-b1", "cbp-f1", "vlp-b2", "cbp-f2", "ensemble")
BRANCHES = ("cbp", "vlp")
PHASES = ("B1", "F1", "B2", "F2")
VIDEOS, TRAINING, DETECTIONS, CLASSES = 213, 200, 30_000, 20
SNIPPETS = 330
OPENINGS = 5
FRAMES = 300

#: Resolves with the seconds since navigation at which a second frame has followed the scripts.
OPENED = """() => new Promise((done) =>
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() / 1000))))"""

#: Milliseconds between frames, in each of which `step(frame)` is done.
TIMED = """(frames) => new Promise((done) => {
    const times = [];
    const step = (frame) => { %s };
    const tick = (now) => {
        times.push(now);
        if (times.length > frames) done(times.slice(1).map((time, i) => time - times[i]));
        else { step(times.length); requestAnimationFrame(tick); }
    };
    requestAnimationFrame(tick);
})"""
STEPS = {
    "list": "document.getElementById('video-list').scrollTop = 37 * frame;",
    "page": "scrollTo({ top: 17 * frame % (document.body.scrollHeight - innerHeight),"
    " behavior: 'instant' });",
    "threshold": "document.querySelector('.handle')?.dispatchEvent(new KeyboardEvent('keydown',"
    " { key: frame % 100 < 50 ? 'ArrowUp' : 'ArrowDown', bubbles: true }));",
}


def main() -> None:
    """Run everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=REAL_DATA, help="folder of the real data")
    parser.add_argument("--videos", type=int, help="of a larger run, beside that of THUMOS14")
    options = parser.parse_args()
    print(f"{'page':26}{'rows':>9}{'made s':>8}{'MB':>7}{'opens s':>9}", end="")
    print("".join(f"{name + ' ms: median':>22}{'p95':>7}" for name in STEPS))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        for videos in filter(None, (VIDEOS, options.videos)):
            run = made_up_run(Path(folder) / f"run-{videos}", videos)
            began = time.perf_counter()
            made = write_report(run)
            case = f"made up, {videos:,} videos"
            report(browser, case, made.path, time.perf_counter() - began)
            print(f"  {made.left_out or 'nothing is left out'}")
        if options.data.is_dir():
            detections, annotations = real(options.data)
            entry = PageEntry("P-MIL", (detections,))
            protocol = protocol_named("thumos14/seconds-210")
            began = time.perf_counter()
            page = write_contenders([entry], annotations, protocol, Path(folder) / "page.html").path
            report(browser, "real detections", page, time.perf_counter() - began)
        browser.close()


def made_up_run(folder: Path, videos: int) -> Path:
    """A run folder with everything that the page of videos is made of; THUMOS14's share of each."""
    share = videos / VIDEOS
    segments = round(3300 * share)
    annotations = made_up_annotations(videos=videos, segments=segments, classes=CLASSES)
    for name in ("detections", "scores", "pseudo_labels"):
        (folder / name).mkdir(parents=True)
    write_annotations(folder / "ground_truth.json", annotations)
    found = made_up_detections(annotations, round(DETECTIONS * share))
    first, *others = (folder / "detections" / f"{stage}.json" for stage in STAGES)
    write_detections(first, found.take(found.start < found.end))
    for other in others:
        shutil.copy(first, other)
    ModelRecord(
        duetal=__version__,
        classes=list(annotations.classes),
        grid=TimeGrid(),
        branches=[BranchRecord(name=b, title=b.upper(), dim=1, final=b) for b in BRANCHES],
        stages=[StageRecord(name=b, title=b.upper(), branch=b) for b in BRANCHES],
        selection="none",
    ).write(folder / "model.json")
    random = np.random.default_rng(0)
    for branch in BRANCHES:
        scores = {name: curves(random, annotations) for name in annotations.videos}
        save_file(scores, folder / "scores" / f"{branch}.safetensors")
    for phase in PHASES:
        labels = {f"training {n}": pseudo_labels(random, n) for n in range(round(TRAINING * share))}
        save_file(labels, folder / "pseudo_labels" / f"{phase}.safetensors")
    return folder


def curves(random: np.random.Generator, annotations: Annotations) -> Any:
    """(T, K) smooth scores."""
    noise = random.normal(0, 2, (SNIPPETS + 8, len(annotations.classes)))
    smooth = np.apply_along_axis(np.convolve, 0, noise, np.ones(9) / 9, "valid")
    return (1 / (1 + np.exp(-smooth))).astype(np.float16)


def pseudo_labels(random: np.random.Generator, video: int) -> Any:
    """(T, K) labels of one present class, a few snippets alike at a time."""
    labels = np.zeros((SNIPPETS, CLASSES), dtype=np.int8)
    labels[:, video % CLASSES] = random.integers(-1, 2, SNIPPETS // 5 + 1).repeat(5)[:SNIPPETS]
    return labels


def report(browser: Any, case: str, path: Path, made: float) -> None:
    """Measure one page and print its row."""
    opened = []
    for _ in range(OPENINGS):
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(path.as_uri(), wait_until="domcontentloaded")
        opened.append(page.evaluate(OPENED))
        rows = page.inner_text("#result")
        if len(opened) < OPENINGS:
            page.close()
    # All lanes at once: the most that scrolling can have to paint.
    for box in page.locator("#counts input").all():
        box.check()
    total = page.inner_text("#result").rpartition(" of ")[2].partition(" ")[0] or rows
    megabytes = path.stat().st_size / 1e6
    print(f"{case:26}{total:>9}{made:8.1f}{megabytes:7.2f}{np.median(opened):9.2f}", end="")
    for name, step in STEPS.items():
        if name == "threshold" and not page.locator(".handle").count():
            print(f"{'no curves':>22}{'':7}", end="")
            continue
        times = page.evaluate(TIMED % step, FRAMES)
        print(f"{np.median(times):22.1f}{np.percentile(times, 95):7.1f}", end="", flush=True)
    print()
    page.close()


if __name__ == "__main__":
    main()
