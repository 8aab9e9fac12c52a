"""The paths of a run's folder."""

import re
from pathlib import Path

from duetal.results.folder import RunFolder


def test_files_of_stages_phases_and_branches_have_folders_of_their_own(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    paths = [
        folder.checkpoint("cbp-f1"),
        folder.pseudo_labels("F1"),
        folder.detections("ensemble"),
        folder.scores("cbp"),
        folder.score_index_file,
    ]
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "checkpoints/cbp-f1.safetensors",
        "pseudo_labels/F1.safetensors",
        "detections/ensemble.json",
        "scores/cbp.safetensors",
        "scores/index.json",
    ]


def test_seeds_are_the_numbers_of_folders_in_their_order(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert folder.seeds() == []
    for name in ("seed-10", "seed-2", "seed-x", "other"):
        (folder.path / name).mkdir(parents=True)
    (folder.path / "seed-3").write_text("a file")
    assert folder.seeds() == [2, 10]
    assert folder.of_seed(10).path == folder.path / "seed-10"


def test_the_log_grows_by_a_line_with_the_time(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.log("first")
    folder.log("second – é")
    lines = (tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()
    times = [re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (.*)", line) for line in lines]
    assert [found[1] for found in times if found] == ["first", "second – é"]
