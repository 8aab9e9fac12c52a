import base64
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from duetal.core.errors import DuetalError
from duetal.report import videos
from duetal.report.videos import MAX_CLASSES, MAX_DETECTIONS, quantise, read_videos


def write(folder, *, database=None, detections=None, scores=None, classes=("A", "B")):
    """A run folder of nothing but what videos are made of."""
    for name in ("detections", "scores"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if database is not None:
        (folder / "ground_truth.json").write_text(json.dumps({"database": database}))
    for stage, results in (detections or {}).items():
        text = json.dumps({"results": results})
        (folder / "detections" / f"{stage}.json").write_text(text)
    if scores is not None:
        (folder / "scores" / "index.json").write_text(json.dumps({"classes": list(classes)}))
        for branch, tensors in scores.items():
            save_file(tensors, folder / "scores" / f"{branch}.safetensors")
    return folder


def found(label, start, end, score):
    return {"label": label, "segment": [start, end], "score": score}


def scores_of(branch, values):
    return {branch: {"v": values.astype(np.float16)}}


def decode(text):
    return np.frombuffer(base64.b64decode(text), np.uint8)


def test_truth_detections_and_curves_keep_their_numbers(tmp_path):
    probabilities = np.array([[0.0, 1.0], [0.5, 0.2], [1.0, 0.0]], np.float16)
    folder = write(
        tmp_path,
        database={"v": {"duration": 2.0, "annotations": [{"label": "B", "segment": [0.5, 1]}]}},
        detections={"cbp-warmup": {"v": [found("B", 0.123, 1.456, 0.98765)]}},
        scores={"cbp": {"v": probabilities}},
    )
    result = read_videos(folder)
    (video,) = result.videos
    assert (result.classes, result.stages, result.branches) == (["A", "B"], ["cbp-warmup"], ["cbp"])
    assert video["truth"] == {1: [0.5, 1.0]}
    assert video["found"] == {0: {1: [0.12, 1.46, 0.988]}}
    assert (video["duration"], video["snippets"], video["pool"]) == (2.0, 3, 1)
    np.testing.assert_array_equal(decode(video["scores"]["cbp"][1]), [255, 51, 0])


@pytest.mark.parametrize("missing", ["ground_truth.json", "detections", "scores"])
def test_whatever_is_missing_the_rest_is_shown(fake_run, missing):
    folder = fake_run(videos=2)
    target = folder / missing
    if target.is_file():
        target.unlink()
    else:
        for path in target.iterdir():
            path.unlink()
    result = read_videos(folder)
    assert len(result.videos) == 2
    assert any(bool(v["truth"]) for v in result.videos) == (missing != "ground_truth.json")
    assert any(bool(v["found"]) for v in result.videos) == (missing != "detections")
    assert any(bool(v["scores"]) for v in result.videos) == (missing != "scores")


def test_nothing_there_gives_no_videos(tmp_path):
    assert read_videos(tmp_path).videos == []


def test_a_video_that_only_the_scores_know_is_shown_with_its_most_probable_class(tmp_path):
    scores = np.tile(np.array([[0.1, 0.6]], np.float16), (20, 1))
    (video,) = read_videos(write(tmp_path, scores={"vlp": {"new": scores}})).videos
    assert (video["name"], video["classes"], video["duration"]) == ("new", [1], None)


def test_weak_detections_are_left_out_and_counted(tmp_path):
    rows = [found("A", i, i + 1, score) for i, score in enumerate((1.0, 0.051, 0.049))]
    result = read_videos(write(tmp_path, detections={"s": {"v": rows}}))
    assert result.videos[0]["found"] == {0: {0: [0.0, 1.0, 1.0, 1.0, 2.0, 0.051]}}
    assert (result.kept, result.total) == ({"s": 2}, {"s": 3})


def test_scores_without_a_positive_one_keep_the_best(tmp_path):
    rows = [found("A", i, i + 1, -float(i)) for i in range(MAX_DETECTIONS + 5)]
    result = read_videos(write(tmp_path, detections={"s": {"v": rows}}))
    assert result.kept["s"] == MAX_DETECTIONS
    assert result.videos[0]["found"][0][0][2] == 0.0


def test_annotated_classes_are_kept_whatever_their_number(tmp_path):
    labels = [f"class {i}" for i in range(MAX_CLASSES + 4)]
    annotations = [{"label": label, "segment": [0, 1]} for label in labels[:-2]]
    detections = {"s": {"v": [found(label, 0, 1, 0.5) for label in labels]}}
    folder = write(tmp_path, database={"v": {"annotations": annotations}}, detections=detections)
    result = read_videos(folder)
    assert [result.classes[i] for i in result.videos[0]["classes"]] == labels[:-2]


def test_stages_stand_in_the_order_of_training(fake_run):
    order = ["cbp-warmup", "vlp-zeroshot", "vlp-b1", "cbp-f1", "vlp-b2", "cbp-f2"]
    assert read_videos(fake_run(videos=1), order).stages == [*order, "ensemble"]


def test_a_long_video_joins_snippets_by_their_maximum(monkeypatch, tmp_path):
    monkeypatch.setattr(videos, "MAX_POINTS", 4)
    ramp = np.linspace(0, 1, 11, dtype=np.float16)[:, None]
    folder = write(tmp_path, scores={"cbp": {"v": ramp}}, classes=["A"])
    (video,) = read_videos(folder).videos
    assert (video["snippets"], video["pool"]) == (11, 3)
    curve = decode(video["scores"]["cbp"][0])
    np.testing.assert_allclose(curve / 255, [0.2, 0.5, 0.8, 1.0], atol=0.003)


def test_quantising_is_exact_to_half_a_level():
    values = np.random.default_rng(0).random(1000).astype(np.float32)
    assert np.abs(decode(quantise(values, 1)) / 255 - values).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scores": scores_of("cbp", np.zeros((3, 5)))}, ["cbp.safetensors", "'v'", "shape"]),
        ({"scores": scores_of("vlp", np.full((3, 2), np.nan))}, ["vlp.", "'v'", "not finite"]),
        ({"detections": {"s": {"v": [found("A", 2, 1, 0.5)]}}}, ["s.json", "v.0", "before"]),
        ({"detections": {"s": {"v": [found("A", 0, 1, float("nan"))]}}}, ["s.json", "score"]),
        ({"database": {"v": {"annotations": [{"segment": [0, 1]}]}}}, ["ground_truth", "label"]),
    ],
)  # fmt: skip
def test_a_damaged_file_is_an_error_that_names_file_and_video(tmp_path, change, words):
    with pytest.raises(DuetalError) as caught:
        read_videos(write(tmp_path, **change))
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}", b"not a tensor file at all"])
def test_a_truncated_score_file_is_an_error_that_names_it(fake_run, content):
    folder = fake_run(videos=1)
    (folder / "scores" / "vlp.safetensors").write_bytes(content)
    with pytest.raises(DuetalError, match=r"vlp\.safetensors"):
        read_videos(folder)


def test_thirty_thousand_detections_stay_a_few_megabytes(fake_run):
    result = read_videos(fake_run(videos=213, mean_seconds=180))
    assert max(result.total.values()) > 10_000
    assert len(json.dumps(result.videos)) < 4_000_000
