import base64
from contextlib import ExitStack

import numpy as np
import pytest
from safetensors.numpy import save_file

from duetal.core.errors import DuetalError
from duetal.evaluation import protocol_named
from duetal.pages import curves
from duetal.pages.curves import MAX_CLASSES, SignalWriter
from duetal.pages.explorer import explore
from duetal.pages.run_files import open_signals
from duetal.results.folder import RunFolder
from duetal.results.schema import ScoreIndex


def write(path, *, scores=None, labels=None, classes=("A", "B")):
    (path / "scores").mkdir(parents=True)
    (path / "pseudo_labels").mkdir()
    folder = RunFolder(path)
    index = ScoreIndex(classes=list(classes), branches=["cbp", "vlp"])
    index.write(folder.score_index_file)
    for branch, tensors in (scores or {}).items():
        save_file(tensors, folder.scores(branch))
    for phase, tensors in (labels or {}).items():
        save_file(tensors, folder.pseudo_labels(phase))
    return folder


def embed(folder, video="v", annotated=(), found=(), index=None):
    with ExitStack() as stack:
        writer = SignalWriter(open_signals(folder, "run", stack), {} if index is None else index)
        return writer.video(video, annotated, found), writer


def bytes_of(text):
    return np.frombuffer(base64.b64decode(text), np.uint8)


def test_curves_are_of_the_classes_that_matter(tmp_path):
    scores = np.array([[0.0, 1.0], [0.5, 0.2], [1.0, 0.0]], np.float16)
    folder = write(tmp_path, scores={"cbp": {"v": scores}})
    index = {"B": 0}
    video, _ = embed(folder, annotated=["B"], index=index)
    assert (video["snippets"], video["pool"]) == (3, 1)
    np.testing.assert_array_equal(bytes_of(video["scores"]["cbp"][0]), [255, 51, 0])
    # The most probable class is there though it is not annotated.
    assert index == {"B": 0, "A": 1}
    np.testing.assert_array_equal(bytes_of(video["scores"]["cbp"][1]), [0, 128, 255])


def test_annotated_classes_are_kept_whatever_their_number(tmp_path):
    names = [f"class {i}" for i in range(MAX_CLASSES + 4)]
    scores = np.full((5, len(names)), 0.1, np.float16)
    folder = write(tmp_path, scores={"cbp": {"v": scores}}, classes=names)
    for annotated, count in ((names[:-2], MAX_CLASSES + 2), (names[:1], MAX_CLASSES)):
        video, _ = embed(folder, annotated=annotated, found=names)
        assert len(video["scores"]["cbp"]) == count


def test_many_points_are_joined_and_of_fewer_classes(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "MAX_CURVE_BYTES", 50)
    names = [f"class {i}" for i in range(MAX_CLASSES)]
    scores = np.random.default_rng(0).random((100, len(names))).astype(np.float16)
    folder = write(tmp_path, scores={"cbp": {"v": scores}}, classes=names)
    video, writer = embed(folder, annotated=names[:1], found=names)
    assert (video["pool"], writer.pool, len(video["scores"]["cbp"])) == (2, 2, 1)
    curve = bytes_of(video["scores"]["cbp"][0]) / 255
    np.testing.assert_allclose(curve, scores[:, 0].reshape(-1, 2).max(axis=1), atol=0.003)


def test_a_page_says_that_its_curves_are_pooled(tmp_path, monkeypatch):
    scores = {"cbp": {"v": np.full((100, 2), 0.5, np.float16)}}
    for room, said in ((50, "A point of a curve is the highest score of 2 snippets. "), (100, "")):
        monkeypatch.setattr(curves, "MAX_CURVE_BYTES", room)
        with ExitStack() as stack:
            signals = open_signals(write(tmp_path / str(room), scores=scores), "run", stack)
            page = explore([], None, protocol_named("seconds"), signals=[signals])
        assert page.left_out() == said


def test_pseudo_labels_are_in_the_order_of_training(tmp_path):
    labels = np.array([[1, 0], [-1, 0], [0, 0]], np.int8)
    phases = ("F1", "B10", "B2", "B1", "other")
    folder = write(tmp_path, labels={phase: {"v": labels} for phase in phases})
    with ExitStack() as stack:
        signals = open_signals(folder, "run", stack)
        assert list(signals.labels) == ["B1", "F1", "B2", "B10", "other"]
        video = SignalWriter(signals, {}).video("v", (), ())
    assert (video["labelled"], list(video["labels"])) == (3, [0, 1, 2, 3, 4])
    # Class B is background everywhere, as every absent class is: it is left out.
    assert video["labels"][0] == {0: base64.b64encode(bytes([0b010010])).decode()}


def test_pseudo_labels_that_do_not_fit_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "MAX_LABEL_BYTES", 4)
    labels = np.ones((4, 2), np.int8)
    folder = write(tmp_path, labels={"B1": {"v": labels[:, :1].repeat(2, 1), "w": labels}})
    video, writer = embed(folder)
    assert (video, writer.left_out) == ({}, 1)


def zeros(*shape):
    return {"v": np.zeros(shape, np.float16)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scores": {"cbp": zeros(3, 5)}}, ["cbp.safetensors", "'v'", "shape"]),
        ({"scores": {"cbp": zeros(3)}}, ["cbp.safetensors", "'v'", "shape"]),
        ({"scores": {"vlp": {"v": np.full((3, 2), np.nan)}}}, ["vlp.", "'v'", "not finite"]),
        ({"labels": {"B1": {"v": np.full((3, 2), 2, np.int8)}}}, ["B1.", "'v'", "pseudo-label"]),
        ({"labels": {"B1": {"v": np.zeros((3, 1), np.int8)}}}, ["B1.", "'v'", "shape"]),
    ],
)
def test_a_damaged_file_is_an_error_that_names_file_and_video(tmp_path, change, words):
    with pytest.raises(DuetalError) as caught:
        embed(write(tmp_path, **change))
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}", b"not a tensor file at all"])
@pytest.mark.parametrize("name", ["scores/vlp", "pseudo_labels/B1"])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, content, name):
    folder = write(tmp_path)
    (folder.path / f"{name}.safetensors").write_bytes(content)
    with pytest.raises(DuetalError, match=rf"{name[-2:]}\.safetensors"):
        embed(folder)
