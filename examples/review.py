"""From labels to a corrected result: a review as a person makes it, in a real browser.

    python examples/review.py --out review-example

makes ten clips: two rendered ones of one action each, six of another kind, in which actions of one
class happen among others that are none, and the two real ones of the real data folder where it is
there. Then `duetal review` is opened on them with nothing but the names of four classes, and
Chromium does what a person would: it labels every clip by keys, has a first run trained, shows what
that found, makes ten corrections, trains again, and saves all that is known. Both runs are scored
on twelve further clips of the second kind, which nobody labelled. Ten minutes on two cores.

The image encoder has RANDOM WEIGHTS, so nothing is downloaded, and no number says anything about
real video. Pictures of the page lie beside the review, in light and in dark colours. Needs
`pip install "duetal[train,review]" playwright` and a Chromium.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.evaluation import evaluate, protocol_named
from duetal.evaluation.comparison import Contender, compare
from duetal.formats.activitynet import read_annotations, read_detections, write_annotations
from duetal.simulation.clips import render_clip
from duetal.simulation.tiny_clip import make_tiny_clip

#: Of what is rendered; those of the real clips come after.
CLASSES = ("Diving", "Hopping")
REAL_CLASSES = ("Clean and jerk", "Walking the dog")
SECONDS, SIZE, FPS = 16.0, (96, 72), 8
CORRECTIONS = 10
EXTRACTION = (
    "--without=rgb", "--without=flow", f"--fps={FPS}", "--stride=4", "--window=4", "--device=cpu",
)  # fmt: skip
PROTOCOL, AVERAGE = "seconds", "0.1:0.7"
#: Milliseconds that a first run may take.
PATIENCE = 3_600_000


def main() -> None:
    """Make the clips, review them, score both runs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("review-example"), help="a new folder")
    parser.add_argument(
        "--real", type=Path, default=Path("../shared/data/video"), help="real clips"
    )
    options = parser.parse_args()
    out: Path = options.out
    if out.exists():
        parser.error(f"{out} is there already; --out names a new folder")
    known = make_clips(out / "clips", options.real)
    unseen = render_mixed(out / "unseen", 12, seed=1)
    write_annotations(out / "unseen.json", Annotations(unseen, CLASSES))
    make_tiny_clip(out / "encoder")
    review = out / "review"
    for clips, store in (("clips", review / "features"), ("unseen", out / "unseen-features")):
        duetal("extract", out / clips, "--out", store, *EXTRACTION, "--clip", out / "encoder")
    names = ", ".join(dict.fromkeys(label for video in known.values() for label in video.labels))
    words = ["--videos", out / "clips", "--out", review, "--classes", names]
    with served(*words) as address, window(address) as page:
        give_labels(page, known)
        page.screenshot(path=out / "labelled.png")
        train(page, number=1)
        print(f"corrections: {correct(page, known)}")
        train(page, number=2)
        picture(page, out)
        save(page, out / "corrected.json")
    score(out)


def make_clips(folder: Path, real: Path) -> dict[str, VideoAnnotation]:
    """The clips that are reviewed, and when their actions are."""
    made = render_mixed(folder, 6, seed=0)
    for label in CLASSES:
        name = f"plain-{label.lower()}"
        action = Segment(4.0, 9.0, label)
        render_clip(folder / f"{name}.mp4", duration=12.0, fps=25.0, actions=[action], seed=7)
        made[name] = VideoAnnotation(name, None, 12.0, (label,), (action,))
    if real.is_dir():
        clips = read_annotations(real / "annotations.json")
        for clip in clips:
            shutil.copy(next(real.glob(f"{clip.name}.*")), folder)
        made |= clips.videos
    return made


def render_mixed(folder: Path, count: int, seed: int) -> dict[str, VideoAnnotation]:
    """Clips in which a class happens two or three times among actions that are none."""
    rng = np.random.default_rng(seed)
    made = {}
    for number in range(count):
        label = CLASSES[number % len(CLASSES)]
        kinds = [label] * (2 + number % 2) + [f"other {k}" for k in rng.integers(6, size=2)]
        slot = SECONDS / len(kinds)
        actions = [
            Segment(place * slot + 0.5, (place + 1) * slot - 0.5, str(kind))
            for place, kind in enumerate(rng.permutation(kinds))
        ]
        name = f"mixed-{seed}-{number:02}"
        render_clip(
            folder / f"{name}.webm", duration=SECONDS, fps=25.0, size=SIZE, actions=actions,
            velocity=(rng.uniform(-1, 1), rng.uniform(-1, 1)), seed=int(rng.integers(4)),
            codec="libvpx-vp9", options=(("deadline", "realtime"), ("cpu-used", "8")),
        )  # fmt: skip
        own = tuple(action for action in actions if action.label == label)
        made[name] = VideoAnnotation(name, "test", SECONDS, (label,), own)
    return made


@contextmanager
def served(*words: object) -> Iterator[str]:
    """The address of what `duetal review` serves, until the block ends."""
    command = [sys.executable, "-m", "duetal", "review", *map(str, words), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield next(line.strip() for line in server.stdout if "http://" in line)
        finally:
            server.terminate()


@contextmanager
def window(address: str) -> Iterator[Page]:
    """A window of Chromium on the page."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        switches = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=switches)
        page = browser.new_page(viewport={"width": 1280, "height": 1240}, color_scheme="light")
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        yield page
        browser.close()


def saving(page: Page, key: str) -> None:
    """Press a key, and wait until what it does is saved."""
    with page.expect_response("**/act") as answer:
        page.keyboard.press(key)
    assert answer.value.ok, answer.value.text()


def give_labels(page: Page, known: Mapping[str, VideoAnnotation]) -> None:
    """Label every video: one key a class, then Enter, which goes on to the next."""
    for _ in known:
        title = page.inner_text("#title")
        chips = page.locator("#labels-list .chip").all_inner_texts()
        for label in known[title].labels:
            number = next(i for i, chip in enumerate(chips, start=1) if label in chip)
            page.keyboard.press(str(number))
        saving(page, "Enter")
        page.wait_for_timeout(200)


def train(page: Page, number: int) -> None:
    """Train a round, wait for its end, and have what it found shown."""
    print(f"training round {number} …", flush=True)
    page.click("#train")
    row = page.locator(f"#rounds li:nth-child({number + 1})")
    row.get_by_role("button").wait_for(timeout=PATIENCE)
    print(row.inner_text(), flush=True)
    with page.expect_navigation():
        row.get_by_role("button").click()
    page.wait_for_selector("body[data-ready]")
    if page.is_visible("#labels"):
        page.keyboard.press("w")


def correct(page: Page, known: Mapping[str, VideoAnnotation]) -> int:
    """Make corrections: edges of what was found, or what was missed; then nothing else is there."""
    classes = page.evaluate("[...document.getElementById('label').options].map((o) => o.value)")
    made = 0
    for name, video in known.items():
        if not name.startswith("mixed"):
            continue
        page.locator("#videos li", has_text=name).get_by_role("button").click()
        page.wait_for_function("() => document.getElementById('video').readyState >= 1")
        for action in video.segments or ():
            if made == CORRECTIONS:
                return made
            made += 1
            if (row := overlapping(page, action)) is not None:
                page.locator("#statements tbody tr").nth(row).get_by_role("button").first.click()
                for edge, seconds in (("start", action.start), ("end", action.end)):
                    with page.expect_response("**/act"):
                        page.fill(f"#edge-{edge}", f"{seconds:.2f}")
                        page.press(f"#edge-{edge}", "Enter")
                page.focus("#player")
                continue
            page.keyboard.press("Escape")
            page.keyboard.press(str(1 + classes.index(action.label)))
            seek(page, action.start)
            page.keyboard.press("d")
            seek(page, action.end)
            saving(page, "d")
        page.keyboard.press("0")
        saving(page, "e")
    return made


def overlapping(page: Page, action: Segment) -> int | None:
    """The row of an open proposal that is the action but for its edges; None if there is none."""
    rows = page.locator("#statements tbody tr").all()
    for index, row in enumerate(rows):
        *times, label = row.locator("td, th").all_inner_texts()[:3]
        start, end = (float(time.removesuffix("s")) for time in times)
        both = min(end, action.end) - max(start, action.start)
        whole = max(end, action.end) - min(start, action.start)
        if action.label in label and both > 0.4 * whole:
            return index
    return None


def seek(page: Page, seconds: float) -> None:
    """Go to a moment of the video."""
    page.evaluate("(to) => { document.getElementById('video').currentTime = to; }", seconds)
    page.wait_for_function("() => !document.getElementById('video').seeking")


def picture(page: Page, out: Path) -> None:
    """Pictures of the page in both themes."""
    page.keyboard.press("n")
    page.wait_for_load_state("networkidle")
    page.screenshot(path=out / "light.png")
    page.click("#theme")
    page.screenshot(path=out / "dark.png")


def save(page: Page, target: Path) -> None:
    """Save what is known in ActivityNet's form."""
    page.click("summary:has-text('Out, and in again')")
    page.select_option("#form", "activitynet")
    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(target)
    known = read_annotations(target)
    segments = sum(len(video.segments or ()) for video in known)
    print(f"{target}: {len(known)} videos, {segments} segments")


def score(out: Path) -> None:
    """Both runs on the clips that nobody labelled."""
    truth, protocol = read_annotations(out / "unseen.json"), protocol_named(PROTOCOL)
    contenders = []
    for number in (1, 2):
        found = out / f"unseen-{number}"
        run = out / "review" / "rounds" / str(number) / "run"
        store = ("--features", out / "unseen-features")
        duetal("localize", run, out / "unseen", "--out", found, "--no-copies", *store)
        detections = read_detections(found / "detections.json")
        mean_ap = evaluate(detections, truth, protocol).averages[AVERAGE]
        print(f"round {number}: mAP {AVERAGE} {100 * mean_ap:.1f} % on {len(truth)} unseen clips")
        contenders.append(Contender(f"round {number}", (detections,)))
    found_difference: Any = compare(contenders, truth, protocol).versus[0].averages[AVERAGE]
    low, high = 100 * found_difference.low, 100 * found_difference.high
    gain = 100 * found_difference.value
    print(f"the second is better by {gain:.1f} points (95 % interval {low:.1f} to {high:.1f})")


def duetal(*words: object) -> None:
    """Run a command; stop with its exit code if it fails."""
    command = [sys.executable, "-m", "duetal", *map(str, words)]
    if code := subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        sys.exit(code)


if __name__ == "__main__":
    main()
