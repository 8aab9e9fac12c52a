"""Scores of any other model: what becomes of them, and what is refused."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import duetal
from duetal.api.given_scores import class_names, localize_scores
from duetal.core.grid import TimeGrid
from duetal.localization.localization_settings import LocalizationSettings
from duetal.localization.proposals import localize_video
from duetal.method.video_scoring import probabilities, video_probabilities

CLASSES = ("dive", "jump")
GRID: dict[str, Any] = {"fps": 10, "stride": 5}


def logits(seed: int = 0, length: int = 120) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Smooth logits of two classes; the second is never there."""
    values = np.random.default_rng(seed).normal(size=(length + 9, 2)).astype(np.float32)
    smooth = np.stack([np.convolve(v, np.ones(10) / 3, "valid") for v in values.T], axis=1)
    return (smooth - [0, 9]).astype(np.float32)


def test_they_are_localized_as_a_branchs_are() -> None:
    values = logits()
    found = duetal.localize_scores({"v": values}, CLASSES, **GRID, offset=2.0)
    video = video_probabilities(values, 8)
    settings, grid = LocalizationSettings(), TimeGrid(10, 5, 5)
    expected = localize_video(probabilities(values), video, grid, settings, offset=2.0)
    assert len(found) > 3
    assert (found.videos, found.classes) == (("v",), CLASSES)
    for column in ("label", "start", "end", "score"):
        np.testing.assert_array_equal(getattr(found, column), getattr(expected, column))
    assert found.start.min() >= 2.0
    assert found.external_data["scores"] == "logits"
    assert set(found.label.tolist()) == {0}
    longer = duetal.localize_scores({"v": values}, CLASSES, **GRID, window=9, offset=2.0)
    np.testing.assert_allclose(longer.start, found.start + 0.2)


def test_probabilities_and_their_logits_give_the_same() -> None:
    by_logits = localize_scores({"v": logits()}, CLASSES, **GRID)
    shares = probabilities(logits())
    found = localize_scores({"v": shares}, CLASSES, **GRID)
    assert found.external_data["scores"] == "probabilities"
    np.testing.assert_allclose(found.score, by_logits.score, atol=1e-6)
    np.testing.assert_array_equal(found.end, by_logits.end)
    sure = localize_scores({"v": np.eye(2)[np.arange(40) // 20]}, CLASSES, **GRID)
    assert sure.score.max() == 1.0


def test_one_logit_of_any_video_makes_logits_of_all() -> None:
    inside = np.full((8, 2), 0.5)
    found = localize_scores({"a": inside, "b": [[1.5, -2.0]]}, CLASSES, **GRID)
    assert found.external_data["scores"] == "logits"
    rounded = localize_scores({"a": 2 * inside + 1e-7}, CLASSES, **GRID)
    assert rounded.external_data["scores"] == "probabilities"
    told = localize_scores({"a": inside}, CLASSES, **GRID, kind="logits")
    assert told.score.max() == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_settings_and_pooling_count() -> None:
    # One snippet of 40: the top eighth, five of them, has a mean below the threshold.
    values = np.full((40, 2), -8.0)
    values[7, 1] = 4.0
    few = localize_scores({"v": values}, CLASSES, **GRID, settings={"class_threshold": 0.9})
    assert set(few.label.tolist()) == {1}  # The best class, where none is above.
    both = localize_scores({"v": values}, CLASSES, **GRID, settings={"class_threshold": 0.0})
    assert set(both.label.tolist()) == {1}  # A flat curve holds no proposal.
    values[20, 0] = 4.0
    by_top = {
        ratio: set(localize_scores({"v": values}, CLASSES, **GRID, topk_ratio=ratio).label.tolist())
        for ratio in (8, 40)
    }
    assert by_top == {8: {0}, 40: {0, 1}}


@pytest.mark.parametrize("kind", ["folder", "npz", "packed"])
def test_files_give_what_arrays_give(tmp_path: Path, kind: str) -> None:
    arrays = {f"v_{seed}": logits(seed, 60 + seed) for seed in range(3)}
    place = tmp_path / ("scores" if kind == "folder" else "scores.npz")
    if kind == "folder":
        place.mkdir()
        for name, values in arrays.items():
            np.save(place / f"{name}.npy", values)
    else:
        (np.savez if kind == "npz" else np.savez_compressed)(place, **arrays)  # type: ignore[arg-type]
    steps: list[tuple[str, int, int]] = []
    found = localize_scores(place, CLASSES, **GRID, progress=lambda *step: steps.append(step))
    expected = localize_scores(arrays, CLASSES, **GRID)
    assert found.videos == expected.videos
    np.testing.assert_array_equal(found.score, expected.score)
    assert steps[:2] == [("localizing v_0, class 1 of 1", 0, 3), ("localizing", 1, 3)]
    assert [step for step in steps if step[0] == "localizing"][1:] == [
        ("localizing", 2, 3),
        ("localizing", 3, 3),
    ]


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        (np.zeros((4, 3)), r"(T, K) = (4, 3), but 2 classes are named"),
        (np.zeros(4), "has shape (4,), must be (T, C)"),
        (np.zeros((4, 2, 1)), "has shape (4, 2, 1)"),
        (np.zeros((0, 2)), "no snippet (T = 0)"),
        (np.array([[0.5, np.nan]]), "the score of 'jump' is nan at snippet 0"),
        (np.array([[0.5, 0.5], [np.inf, 0]]), "the score of 'dive' is inf at snippet 1"),
        (np.zeros((4, 2), object), "holds pickled Python objects"),
        (np.zeros((4, 2), np.int64), "holds int64"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["array", "npz", "npy"])
def test_an_array_that_is_no_scores_is_refused(
    tmp_path: Path, values: Any, cause: str, kind: str
) -> None:
    given: Any = {"v_1": np.zeros((1, 2)), "v_2": values}
    if kind == "npz":
        np.savez(tmp_path / "scores.npz", **given)
        given = tmp_path / "scores.npz"
    elif kind == "npy":
        for name, array in given.items():
            np.save(tmp_path / f"{name}.npy", array)
        given = tmp_path
    with pytest.raises(duetal.DuetalError) as raised:
        localize_scores(given, CLASSES, **GRID)
    assert cause in str(raised.value)
    assert "v_2" in str(raised.value)
    assert (str(given) in str(raised.value)) == (kind != "array")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("scores", "changed", "message"),
    [
        ({}, {}, "no video has scores"),
        ({"v": [[1.0, 2.0], [3.0]]}, {}, "video 'v': not an array"),
        ({"../v": [[1.0, 2.0]]}, {}, "not a usable video name"),
        ({"v": [[1.5, 0.0]]}, {"kind": "probabilities"}, "0 to 1.5 are no probabilities"),
        ({"v": [[1.5, 0.0]]}, {"kind": "odds"}, "unknown kind of scores 'odds'"),
        ({"v": [[1.5, 0.0]]}, {"fps": 0}, "fps must be from 0.001"),
        ({"v": [[1.5, 0.0]]}, {"fps": float("nan")}, "fps must be from 0.001"),
        ({"v": [[1.5, 0.0]]}, {"stride": 0}, "stride"),
        ({"v": [[1.5, 0.0]]}, {"offset": float("inf")}, "offset: inf"),
        ({"v": [[1.5, 0.0]]}, {"settings": {"nms_sigma": 0}}, "localization.nms_sigma"),
        ({"v": [[1.5, 0.0]]}, {"settings": {"nms": 0}}, "localization.nms"),
        ("nowhere", {}, "nowhere: no such file or folder"),
        ("empty", {}, "empty: no score features"),
        ("broken.npz", {}, "broken.npz: not an .npz file"),
    ],
)
def test_wrong_arguments_are_errors_of_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scores: Any,
    changed: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.npz").write_bytes(b"PK no archive")
    with pytest.raises(duetal.DuetalError) as raised:
        localize_scores(scores, CLASSES, **(GRID | changed))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["dive", "high jump"], ("dive", "high jump")),
        ("dive, high jump", ("dive", "high jump")),
        ("dive", ("dive",)),
        ("plain.txt", ("dive", "high jump")),
        ("numbered", ("high jump", "dive")),
        ([], "classes: no class is named"),
        ("", "classes: no class is named"),
        ("dive,,jump", "classes: a class has no name"),
        (["dive", "jump", "dive"], "classes: the class 'dive' is named twice"),
        ("twice.txt", "twice.txt: the class 'dive' is named twice"),
        ("void.txt", "void.txt: is empty"),
        ("absent.txt", "absent.txt: no such file"),
        ("binary.txt", "binary.txt"),
    ],
    ids=str,
)
def test_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Any, expected: tuple[str, ...] | str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.txt").write_text("\ufeffdive\r\nhigh jump\r\n\r\n", encoding="utf-8")
    (tmp_path / "numbered").write_text("9 dive\n7 high jump\n")
    (tmp_path / "twice.txt").write_text("dive\njump\ndive\n")
    (tmp_path / "void.txt").write_text("\n")
    (tmp_path / "binary.txt").write_bytes(os.urandom(9) + b"\xff\xfe\x00\xd8")
    if isinstance(expected, tuple):
        assert class_names(given) == expected
        return
    with pytest.raises(duetal.DuetalError) as raised:
        class_names(given)
    assert expected in str(raised.value)


def test_a_pickle_in_an_array_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    refuse: Callable[..., None] = lambda *given, **how: read.append(given)  # noqa: E731
    monkeypatch.setattr("pickle.load", refuse)
    np.savez(tmp_path / "scores.npz", v=np.array([[{}, {}]], dtype=object))
    with pytest.raises(duetal.DuetalError, match="refused"):
        localize_scores(tmp_path / "scores.npz", CLASSES, **GRID)
    assert read == []
