"""Where a run may begin, and which folder is a trained run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from duetal.config import Config, load_config
from duetal.core.errors import DuetalError, UsageError
from duetal.results.folder import RunFolder
from duetal.runs.run import alone_in, begin, check_begin, open_run, read_config

CONFIG = load_config("", "test", ["dataset=data", "cbp.embed_dim=16"])


def nothing(path: Path) -> None:
    pass


def empty(path: Path) -> None:
    path.mkdir()


def cut_off(path: Path) -> None:
    """What a kill during the very first write leaves."""
    path.mkdir()
    (path / ".config.yaml.x7_1.part").write_text("data")


def run(path: Path) -> None:
    begin(RunFolder(path), CONFIG)


def run_of_several(path: Path) -> None:
    begin(RunFolder(path).of_seed(3), CONFIG)


def notes(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("mine")


def file(path: Path) -> None:
    path.write_text("mine")


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    ("before", "error", "error_on_resume"),
    [
        (nothing, None, None),
        (empty, None, None),
        (cut_off, None, None),
        (run, "holds a run already; nothing was overwritten (--resume", None),
        (run_of_several, "holds a run of several seeds", "holds a run of several seeds"),
        (notes, "is not empty and holds no run", "is not empty and holds no run"),
        (file, "is a file", "is a file"),
    ],
)
def test_where_a_run_may_begin(
    tmp_path: Path,
    before: Callable[[Path], None],
    error: str | None,
    error_on_resume: str | None,
    resume: bool,
) -> None:
    path = tmp_path / "run"
    before(path)
    contents = sorted(path.rglob("*"))
    expected = error_on_resume if resume else error
    if expected is None:
        check_begin(RunFolder(path), CONFIG, resume=resume)
    else:
        with pytest.raises(DuetalError) as caught:
            check_begin(RunFolder(path), CONFIG, resume=resume)
        assert expected in str(caught.value)
        assert caught.value.file == path
    assert sorted(path.rglob("*")) == contents


def test_a_resumed_run_keeps_its_settings(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    begin(folder, CONFIG)
    other = CONFIG.replace(crop=64, learning_rate=0.5)
    with pytest.raises(UsageError) as caught:
        check_begin(folder, other, resume=True)
    assert "data.crop: 64, not 1000; schedule.learning_rate: 0.5, not 0.0001" in str(caught.value)
    free = CONFIG.replace(checkpoint_every=5, tensorboard=True)
    check_begin(folder, free, resume=True)


def test_what_a_run_begins_with_is_written_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "deep" / "run")
    begin(folder, CONFIG)
    folder.environment_file.write_text("{}")
    begin(folder, CONFIG.replace(crop=64))
    assert read_config(folder) == CONFIG
    assert folder.environment_file.read_text() == "{}"


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (nothing, "no such run folder"),
        (empty, "has no config.yaml"),
        (run, "training is not finished"),
        (run_of_several, "name one of seed-3"),
    ],
)
def test_what_is_no_trained_run(
    tmp_path: Path, before: Callable[[Path], None], message: str
) -> None:
    before(tmp_path / "run")
    with pytest.raises(DuetalError) as caught:
        open_run(tmp_path / "run")
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff", b"crop: [", b"[]", b"crops: 1"])
def test_a_damaged_config_is_named(tmp_path: Path, content: bytes) -> None:
    folder = RunFolder(tmp_path)
    folder.config_file.write_bytes(content)
    with pytest.raises(DuetalError) as caught:
        read_config(folder)
    assert caught.value.file == folder.config_file


def test_a_stored_config_is_every_setting(tmp_path: Path) -> None:
    begin(RunFolder(tmp_path), CONFIG)
    stored = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert stored.keys() == Config().flat().keys()


@pytest.mark.parametrize(
    ("held", "out", "words", "refused"),
    [
        ("run", "run", (), "run"),
        ("run", "run", ("--resume",), "run"),
        ("run", "run", ("--seeds", "0,1"), "run"),
        ("run/seed-1", "run", ("--seeds", "0,1"), "run/seed-1"),
        ("run/seed-1", "run", ("--seeds", "0,1", "--resume"), "run/seed-1"),
        ("run/seed-1", "run/seed-1", (), "run/seed-1"),
        ("run/seed-1", "run/seed-0", (), None),
        ("run/seed-1", "run", ("--seeds", "0,2"), None),
    ],
)
def test_a_folder_in_which_another_process_trains_is_refused(
    held, out, words, refused, tmp_path, duetal
):
    with alone_in(RunFolder(tmp_path / held)):
        before = sorted(tmp_path.rglob("[!.]*"))
        code, _, err = duetal("train", "demo", "dataset=x", "--out", tmp_path / out, *words)
        place, cause = tmp_path / str(refused), "another duetal train is at work there"
        expected = f"duetal: error: {place}: {cause}; nothing was changed\n"
        assert (code, err == expected) == (1, refused is not None)
        assert refused is not None or "x: no such" in err
        assert sorted(tmp_path.rglob("[!.]*")) == before
    assert not (tmp_path / held).exists()


def test_what_a_run_left_unfinished_is_removed(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with alone_in(folder):
        (folder.path / "log.txt").write_text("begun")
        torn = folder.path / ".evaluation.json.0123.duetal.part"
        torn.write_text("half")
    with alone_in(folder):
        assert not torn.exists()
    assert (folder.path / "log.txt").is_file()
