"""A factory of run folders as training leaves them, with numbers made up plausibly.

Two branches over videos with known segments: CBP speaks in the core of an action, VLP over the
whole scene, and each step moves both towards the truth.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from safetensors.numpy import save_file

CLASSES = [
    "BaseballPitch", "BasketballDunk", "Billiards", "CleanAndJerk", "CliffDiving", "CricketBowling",
    "CricketShot", "Diving", "FrisbeeCatch", "GolfSwing", "HammerThrow", "HighJump",
    "JavelinThrow", "LongJump", "PoleVault", "Shotput", "SoccerPenalty", "TennisSwing",
    "ThrowDiscus", "VolleyballSpiking",
]  # fmt: skip

TITLES = {
    "cbp-warmup": "CBP after warm-up",
    "vlp-zeroshot": "Zero-shot VLP",
    "vlp-b1": "VLP after B1",
    "cbp-f1": "CBP after F1",
    "vlp-b2": "VLP after B2",
    "cbp-f2": "CBP after F2",
    "ensemble": "Ensemble",
}
#: How far each stage has come from its branch's bias to the truth.
PROGRESS = dict(zip(TITLES, (0.0, 0.0, 0.45, 0.5, 0.62, 0.68, 0.8), strict=True))
TIOU = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
AVERAGES = {"0.1:0.5": slice(0, 5), "0.3:0.7": slice(2, 7), "0.1:0.7": slice(0, 7)}
SELECTION = "last checkpoint; no test data was used"
PHASES = {"warmup": ("cbp", 10), "B1": ("vlp", 20), "F1": ("cbp", 20), "B2": ("vlp", 20),
          "F2": ("cbp", 20)}  # fmt: skip


@dataclass
class FakeRun:
    """What to put into a fake run; `write` makes the folder of one seed."""

    videos: int = 8
    seed: int = 0
    classes: list[str] = field(default_factory=lambda: list(CLASSES))
    names: list[str] = field(default_factory=list)
    fps: float = 25.0
    stride: int = 16
    mean_seconds: float = 200.0
    #: Training videos that have pseudo-labels.
    training: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        numbered = (f"video_test_{4 + 37 * i:07d}" for i in range(self.videos))
        self.video_names = [*self.names, *numbered][: self.videos]
        self.database = {name: self._annotate(i) for i, name in enumerate(self.video_names)}
        self.scores = {name: self._score(name) for name in self.video_names}

    def _annotate(self, index: int) -> dict[str, Any]:
        duration = float(np.round(self.rng.lognormal(np.log(self.mean_seconds), 0.6) + 20, 2))
        label = self.classes[index % len(self.classes)]
        at, segments = float(self.rng.uniform(2, 8)), []
        while at + 4 < duration and len(segments) < 25:
            length = float(self.rng.uniform(1.5, 8))
            end = min(at + length, duration)
            segments.append({"segment": [round(at, 1), round(end, 1)], "label": label})
            if label == "CliffDiving":
                segments.append({"segment": [round(at, 1), round(end, 1)], "label": "Diving"})
            at = end + float(self.rng.exponential(10) + 1)
        return {"subset": "test", "duration": duration, "annotations": segments}

    def _score(self, name: str) -> dict[str, np.ndarray]:
        """(T, K) probabilities of both branches."""
        video = self.database[name]
        length = max(1, int(video["duration"] * self.fps / self.stride))
        centres = (np.arange(length) + 0.5) * self.stride / self.fps
        noise = self.rng.normal(0, 1, (2, length, len(self.classes)))
        smooth = np.apply_along_axis(np.convolve, 1, noise, np.ones(5) / 5, "same")
        cbp, vlp = 0.06 + 0.06 * np.abs(smooth)
        for row in video["annotations"]:
            start, end = row["segment"]
            k, middle, half = self.classes.index(row["label"]), (start + end) / 2, (end - start) / 2
            distance = np.abs(centres - middle) / half
            cbp[:, k] = np.maximum(cbp[:, k], 0.9 * np.exp(-((distance / 0.75) ** 4)))
            vlp[:, k] = np.maximum(vlp[:, k], 0.8 * np.exp(-((distance / 1.9) ** 4)))
        scores = {"cbp": cbp, "vlp": vlp}
        return {key: (value + 0.04 * self.rng.random(value.shape)).clip(0, 1).astype(np.float16)
                for key, value in scores.items()}  # fmt: skip

    def detections(self, stage: str) -> dict[str, Any]:
        """ActivityNet results: the truth, bent by the branch's bias, and clutter."""
        progress = PROGRESS[stage]
        scale = {"c": 0.55 + 0.4 * progress, "v": 1.7 - 0.6 * progress, "e": 1.02}[stage[0]]
        results: dict[str, list[dict[str, Any]]] = {}
        for name, video in self.database.items():
            rows = results.setdefault(name, [])
            for truth in video["annotations"]:
                start, end = truth["segment"]
                for wobble, share in ((0.1, 1.0), (0.35, 0.5), (0.6, 0.2)):
                    half = (end - start) / 2 * scale * float(np.exp(self.rng.normal(0, wobble)))
                    middle = (start + end) / 2 + float(self.rng.normal(0, wobble))
                    score = share * float(self.rng.uniform(0.4, 0.98))
                    rows.append(self._detection(middle, half, truth["label"], score, video))
            for _ in range(int(25 * (1 - progress))):
                label = self.classes[int(self.rng.integers(len(self.classes)))]
                middle = float(self.rng.uniform(0, video["duration"]))
                score = float(self.rng.beta(1, 6))
                half = float(self.rng.uniform(1, 8))
                rows.append(self._detection(middle, half, label, score, video))
        return {"version": "1.3", "results": results, "external_data": {}}

    @staticmethod
    def _detection(
        middle: float, half: float, label: str, score: float, video: dict[str, Any]
    ) -> dict[str, Any]:
        segment = [max(0.0, middle - half), min(video["duration"], middle + half)]
        return {"label": label, "score": score, "segment": sorted(segment)}

    def evaluation(self) -> dict[str, Any]:
        stages = []
        for number, (stage, title) in enumerate(TITLES.items()):
            level = 0.34 + 0.3 * PROGRESS[stage] - 0.05 * (stage[0] == "v")
            level += float(self.rng.normal(0, 0.004))
            mean_ap = [float(level * (1.55 - 1.7 * t)) for t in TIOU]
            per_class = {
                name: [min(1.0, ap * (0.5 + ((7 * k + number) % 20) / 20)) for ap in mean_ap]
                for k, name in enumerate(self.classes)
            }
            averages = {name: float(np.mean(mean_ap[part])) for name, part in AVERAGES.items()}
            stages.append({
                "stage": stage, "title": title, "protocol": "thumos14/seconds-210", "tiou": TIOU,
                "mAP": mean_ap, "averages": averages, "per_class": per_class,
                "videos": self.videos, "segments": 3311, "predictions": 12345,
                "dropped": {"in unlisted videos": 3},
            })  # fmt: skip
        points = [(0.78, 0.36), (0.35, 0.8), (0.55, 0.74), (0.74, 0.6), (0.64, 0.73), (0.73, 0.68),
                  (0.75, 0.74)]  # fmt: skip
        return {
            "protocol": "thumos14/seconds-210",
            "selection": SELECTION,
            "stages": stages,
            "diagnostics": {
                "stages": {
                    stage: {"precision": p, "recall": r, "f1": 2 * p * r / (p + r)}
                    for stage, (p, r) in zip(TITLES, points, strict=True)
                },
                "pseudo_labels": {
                    phase: {
                        "foreground_precision": 0.8, "foreground_recall": 0.4,
                        "background_precision": 0.93, "background_recall": 0.7,
                    }
                    for phase in ("B1", "F1", "B2", "F2")
                },
            },
        }  # fmt: skip

    def metrics(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        step = 0
        for phase, (branch, epochs) in PHASES.items():
            if phase != "warmup":
                lines.append(self._pseudo_labels(phase))
            for epoch in range(1, epochs + 1):
                step += 4
                decay = float(np.exp(-epoch / epochs * 2.2))
                terms = {"classification": 0.12 + 0.5 * decay + float(self.rng.normal(0, 0.01))}
                if phase != "warmup":
                    terms["distillation"] = 0.08 + 0.3 * decay + float(self.rng.normal(0, 0.01))
                lines.append({
                    "event": "epoch", "phase": phase, "branch": branch, "epoch": epoch,
                    "epochs": epochs, "step": step, "loss": sum(terms.values()), "terms": terms,
                    "seconds": 1.2,
                })  # fmt: skip
            lines.append({"event": "phase_end", "phase": phase, "stage": "x", "seconds": 9.0})
        return lines

    def _pseudo_labels(self, phase: str) -> dict[str, Any]:
        classes = {}
        for k, name in enumerate(self.classes):
            total = 900 + 250 * (k % 5)
            foreground = int(total * (0.12 + 0.02 * (k % 4)))
            background = int(total * (0.5 + 0.03 * (k % 6)))
            rest = total - foreground - background
            classes[name] = {"foreground": foreground, "background": background, "ignored": rest}
        kinds = ("foreground", "background", "ignored")
        sums = {kind: sum(counts[kind] for counts in classes.values()) for kind in kinds}
        teacher = "cbp" if phase.startswith("B") else "vlp"
        return {"event": "pseudo_labels", "phase": phase, "teacher": teacher, **sums,
                "snippets": sum(sums.values()), "classes": classes}  # fmt: skip

    def write(self, folder: Path) -> Path:
        """Write the run folder."""
        for name in ("detections", "scores"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(
            "recipe: thumos14\ntraining:\n  alternations: 2\n  learning_rate: 0.0001\n"
            "  batch: 64\npseudo_labels: {high: 0.7, low: 0.15}\ntheta_loc: [0.1, 0.2, 0.3]\n"
        )
        dump(folder / "environment.json", {"duetal": "0.1.0", "torch": "2.13.0", "cpus": 2})
        dump(folder / "model.json", {"classes": self.classes, "selection": SELECTION})
        dump(folder / "evaluation.json", self.evaluation())
        dump(folder / "ground_truth.json", {"version": "1.3", "database": self.database})
        for stage in TITLES:
            dump(folder / "detections" / f"{stage}.json", self.detections(stage))
        grid = {"fps": self.fps, "stride": self.stride, "window": 16}
        dump(folder / "scores" / "index.json", {"classes": self.classes, "grid": grid})
        for branch in ("cbp", "vlp"):
            tensors = {name: scores[branch] for name, scores in self.scores.items()}
            save_file(tensors, folder / "scores" / f"{branch}.safetensors")
        self._write_pseudo_labels(folder / "pseudo_labels")
        lines = "".join(json.dumps(line) + "\n" for line in self.metrics())
        (folder / "metrics.jsonl").write_text(lines)
        return folder

    def _write_pseudo_labels(self, folder: Path) -> None:
        if not self.training:
            return
        folder.mkdir()
        for phase in ("B1", "F1", "B2", "F2"):
            labels = {}
            for index in range(self.training):
                said = np.zeros((90 + index, len(self.classes)), dtype=np.int8)
                said[:, index % len(self.classes)] = self.rng.integers(-1, 2, len(said))
                labels[f"video_validation_{index:07d}"] = said
            save_file(labels, folder / f"{phase}.safetensors")


def dump(path: Path, value: Any) -> None:
    """Write JSON as any program might."""
    path.write_text(json.dumps(value))


def deviation(values: Any) -> Any:
    """Sample standard deviation over the first axis, 0 for a single value."""
    return np.std(values, axis=0, ddof=min(1, len(values) - 1))


def write_seeds(folder: Path, seeds: tuple[int, ...] = (0, 1, 2), **settings: Any) -> Path:
    """Write a run of several seeds and its summary."""
    for seed in seeds:
        FakeRun(seed=seed, **settings).write(folder / f"seed-{seed}")
    found = [json.loads((folder / f"seed-{s}" / "evaluation.json").read_text()) for s in seeds]
    stages = []
    for rows in zip(*(evaluation["stages"] for evaluation in found), strict=True):
        values = np.array([row["mAP"] for row in rows])
        averages = {name: [row["averages"][name] for row in rows] for name in AVERAGES}
        stages.append({
            "stage": rows[0]["stage"], "title": rows[0]["title"], "tiou": TIOU,
            "mAP_mean": values.mean(axis=0).tolist(),
            "mAP_std": deviation(values).tolist(),
            "averages": {name: {"mean": float(np.mean(v)), "std": float(deviation(v))}
                         for name, v in averages.items()},
        })  # fmt: skip
    summary = {"seeds": list(seeds), "protocol": "thumos14/seconds-210", "selection": SELECTION}
    dump(folder / "summary.json", summary | {"stages": stages})
    return folder


@pytest.fixture
def fake_run(tmp_path: Path) -> Callable[..., Path]:
    """Make a run folder: `fake_run(videos=…, names=…, classes=…)`."""
    return lambda **settings: FakeRun(**settings).write(tmp_path / "my-run")


@pytest.fixture
def fake_seeds(tmp_path: Path) -> Callable[..., Path]:
    """Make a run folder of several seeds."""
    return lambda **settings: write_seeds(tmp_path / "seeds-run", **settings)


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
    from duetal.report import write_report

    folder = tmp_path_factory.mktemp("explored") / "my-run"
    run = FakeRun(videos=40, training=3, mean_seconds=60)
    run.write(folder)
    return Explored(folder, write_report(folder))


CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
SWITCHES = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass
class Watched:
    """A page, and everything it must not do."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium found: the page was NOT looked at in a browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


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
        page.set_default_timeout(5000)
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
