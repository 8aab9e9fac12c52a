"""Draw the pictures of a review in the documentation: `python scripts/review_pictures.py FOLDER`.

A ball is filmed while it jumps, dives and spins; what is shown as found is made up around the true
times. `duetal review` serves it, Chromium looks at it, and the keys are pressed that the pictures
show the outcome of.
"""

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import sync_playwright

from duetal.core.detections import Detections
from duetal.formats.activitynet import write_detections
from duetal.pages.player import PlayedVideo, PlayerPage, embed

CLASSES = ("Jump", "Dive", "Spin")
SECONDS, FPS, SIZE = 36.0, 25, (640, 360)
#: Class, start and end of what happens in each video.
ACTIONS = {
    "garden, morning": [(0, 3.0, 5.5), (0, 9.0, 11.2), (2, 16.0, 20.0), (0, 27.0, 29.5)],
    "garden, evening": [(1, 4.0, 6.0), (2, 11.0, 15.0), (1, 24.0, 26.5)],
    "beach": [(2, 2.0, 6.0), (0, 13.0, 15.0), (1, 21.0, 23.5), (1, 29.0, 31.0)],
    "harbour": [(1, 7.0, 9.5), (0, 18.0, 20.5), (2, 28.0, 32.0)],
}
GROUNDS = ((96, 132, 92), (88, 116, 84), (206, 186, 142), (126, 124, 130))
SHADES = ((60, 84, 60), (58, 76, 58), (160, 142, 104), (86, 84, 92))
SKIES = ((168, 205, 235), (236, 178, 140), (150, 214, 226), (186, 190, 214))


def picture(video: int, seconds: float) -> Image.Image:
    """A ball over the ground, and what it does at the moment."""
    sky, (width, height) = np.array(SKIES[video]), SIZE
    shade = np.linspace(1.0, 0.8, height)[:, None, None]
    image = Image.fromarray((sky * shade * np.ones((height, width, 1))).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 270, width, height), fill=GROUNDS[video])
    draw.ellipse((500, 40, 560, 100), fill=(255, 240, 200))
    x, y, turn = 90 + (seconds * 13) % 460, 240.0, 0.0
    for label, start, end in list(ACTIONS.values())[video]:
        share = (seconds - start) / (end - start)
        if 0 <= share <= 1:
            lift = math.sin(math.pi * share)
            y += {0: -150 * lift, 1: 55 * lift, 2: 0}[label]
            turn = 720 * share if label == 2 else 0
    draw.ellipse((x - 34, 268, x + 34, 280), fill=(60, 84, 60) if video < 2 else (160, 142, 104))
    draw.ellipse(
        (x - 30, y - 30, x + 30, y + 30), fill=(196, 70, 48), outline=(90, 30, 20), width=3
    )
    draw.pieslice((x - 30, y - 30, x + 30, y + 30), turn, turn + 90, fill=(248, 236, 220))
    return image


def film(path: Path, video: int) -> None:
    """Write a video that browsers play."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libvpx-vp9", FPS)
        stream.width, stream.height = SIZE
        stream.options = {"deadline": "realtime", "cpu-used": "8", "g": "25"}
        for index in range(int(SECONDS * FPS)):
            image = np.asarray(picture(video, index / FPS))
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def make_found(folder: Path) -> None:
    """`clips/`, and `found/` as `duetal localize` fills it."""
    (folder / "clips").mkdir(parents=True)
    (folder / "found").mkdir()
    random = np.random.default_rng(3)
    rows, embedded = [], []
    times = (np.arange(int(SECONDS / 0.64)) + 0.5) * 0.64
    for video, (name, actions) in enumerate(ACTIONS.items()):
        film(folder / "clips" / f"{name}.webm", video)
        found = [
            (
                name,
                CLASSES[label],
                start + random.normal(0, 0.3),
                end + random.normal(0, 0.3),
                score,
            )
            for label, start, end in actions
            for score in [float(random.uniform(0.55, 0.95))]
        ]
        for start in random.uniform(1, 32, 4):
            other = CLASSES[random.integers(3)]
            found.append((name, other, start, start + 1.8, float(random.uniform(0.1, 0.4))))
        curves = {}
        for branch, noise in (("cbp", 0.03), ("vlp", 0.07)):
            curves[branch] = 0.06 + random.normal(0, noise, (len(times), 3))
            for label, start, end in actions:
                curves[branch][:, label] += 0.75 / (
                    1 + np.abs((times - (start + end) / 2) / (0.55 * (end - start))) ** 6
                )
            curves[branch] = curves[branch].clip(0, 1)
        own = Detections.from_rows(found, videos=[name], classes=CLASSES)
        embedded.append(embed(PlayedVideo(name, SECONDS, f"./{name}", curves=curves), own))
        rows += found
    found_in_all = Detections.from_rows(rows, videos=ACTIONS, classes=CLASSES)
    write_detections(folder / "found" / "detections.json", found_in_all)
    page = PlayerPage("made up", "ensemble", branches={"cbp": "CBP", "vlp": "VLP"}, floor=0.15)
    page.write(folder / "found" / "index.html", CLASSES, embedded)


@contextmanager
def served(*words: str) -> Iterator[str]:
    """The address of what `duetal review` serves."""
    command = [sys.executable, "-m", "duetal", "review", *words, "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield next(line.strip() for line in server.stdout if "http://" in line)
        finally:
            server.terminate()


def shoot(browser: Any, address: str, keys: str, path: Path, scheme: str) -> None:
    """A picture of the page after some keys."""
    page = browser.new_page(viewport={"width": 1280, "height": 1240}, color_scheme=scheme)
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    page.wait_for_function("() => document.getElementById('next-basis').textContent !== ''")
    for key in keys.split():
        page.keyboard.press(key)
        page.wait_for_timeout(400)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=path)
    page.close()


def main(arguments: list[str] | None = None) -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        place = Path(made)
        make_found(place)
        switches = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=switches)
        clips = str(place / "clips")
        with served(str(place / "found"), clips) as address:
            shoot(browser, address, "n a a x a n n", folder / "review.png", "light")
            shoot(browser, address, "g", folder / "review-dark.png", "dark")
        new = ("--videos", clips, "--out", str(place / "new"), "--classes", ",".join(CLASSES))
        with served(*new) as address:
            shoot(browser, address, "1 3", folder / "review-labels.png", "light")
        browser.close()


if __name__ == "__main__":
    main()
