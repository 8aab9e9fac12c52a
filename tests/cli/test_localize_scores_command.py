"""`duetal localize-scores`: what it writes and says, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from duetal.api.given_scores import localize_scores
from duetal.formats.activitynet import read_detections

Duetal = Callable[..., tuple[int, str, str]]
GRID = ("--fps", "25", "--stride", "16")


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "scores.npz"
    generator = np.random.default_rng(0)
    np.savez(path, v=generator.normal(size=(60, 2)), w=generator.normal(size=(9, 2)))
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "logits (--scores decides otherwise)"),
        (("--scores", "logits"), "logits"),
        (("--set", "min_score=0.2", "--topk-ratio", "4", "--offset", "-1.5"), "logits"),
    ],
)
def test_it_writes_what_python_gives(
    scores: Path, tmp_path: Path, duetal: Duetal, options: tuple[str, ...], said: str
) -> None:
    out = tmp_path / "deep" / "found.json"
    words = (scores, "--classes", "dive,jump", *GRID, "--out", out, *options)
    code, printed, err = duetal("localize-scores", *words)
    assert (code, err) == (0, "")
    found = read_detections(out)
    assert f"2 videos, {len(found):,} detections: {out}\n" in printed
    assert f"the scores are taken for {said}" in printed
    how = {"settings": {"min_score": 0.2}, "topk_ratio": 4, "offset": -1.5}
    chosen = how if "--offset" in options else {}
    expected = localize_scores(scores, "dive,jump", fps=25, stride=16, **chosen)  # type: ignore[arg-type]
    assert len(found) == len(expected)
    assert json.loads(out.read_text())["external_data"] == expected.external_data


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        (("--classes", "dive"), "scores.npz: video 'v': (T, K) = (60, 2), but 1 classes", 1),
        (("--scores", "probabilities"), "are no probabilities", 1),
        (("--set", "crop=9"), "--set: data.crop is no setting of localization", 2),
        (("--set", "nms_sigma=-1"), "localization.nms_sigma", 2),
        (("--fps", "nan"), "not a finite number", 2),
        (("--fps", "0"), "--fps", 2),
        (("--stride", "0"), "--stride", 2),
        (("--topk-ratio", "0"), "--topk-ratio", 2),
        (("--fps", "1e-320"), "fps must be from 0.001 to 1e+06", 2),
        (("--window", "1" + "0" * 400), "at most 1,000,000,000", 2),
        (("--classes", ",".join(map(str, range(200)))), "but 200 classes", 1),
        (("--out", "."), "is a folder", 2),
    ],
)
def test_wrong_input_is_one_line(
    scores: Path, tmp_path: Path, duetal: Duetal, options: tuple[str, ...], message: str, code: int
) -> None:
    out = tmp_path / "found.json"
    words = (scores, "--classes", "dive,jump", *GRID, "--out", out, *options)
    got, _, err = duetal("localize-scores", *words)
    assert (got, message in err) == (code, True), err
    assert err.count("\n") == 1
    assert not out.exists()
