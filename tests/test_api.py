"""`import duetal`: the same results as the commands, of files and of objects, without delay."""

import json
import re
import shutil
import subprocess
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import duetal
from duetal import api
from duetal.results.folder import RunFolder
from duetal.simulation.clips import render_clip

Duetal = Callable[..., tuple[int, str, str]]
PAGE = Path(__file__).parents[1] / "docs" / "python.md"
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_package_gives_what_the_api_has() -> None:
    assert set(duetal.__all__) - {"__version__"} == set(api.__all__)
    for name in api.__all__:
        assert getattr(duetal, name) is getattr(api, name)
    assert set(duetal.__all__) <= set(dir(duetal))
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        duetal.lode  # type: ignore[attr-defined]  # noqa: B018


def test_importing_it_imports_nothing_heavy_and_it_is_typed() -> None:
    probe = "import duetal, sys; print({'torch', 'numpy', 'duetal.api'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert (Path(duetal.__file__).parent / "py.typed").is_file()


def test_evaluating_imports_no_pytorch_and_reading_no_numba(tmp_path: Path) -> None:
    video = {"subset": "test", "annotations": [{"label": "jump", "segment": [0, 10]}]}
    found = {"results": {"v": [{"label": "jump", "score": 0.5, "segment": [0, 9]}]}}
    (tmp_path / "gt.json").write_text(json.dumps({"database": {"v": video}}))
    (tmp_path / "found.json").write_text(json.dumps(found))
    probe = """
import sys, duetal
duetal.read_annotations("gt.json")
assert "numba" not in sys.modules
print(duetal.evaluate("found.json", "gt.json", "seconds").mean_ap[0])
duetal.diagnose("found.json", "gt.json", "seconds")
duetal.compare({"a": "found.json", "b": "found.json"}, "gt.json", "seconds", draws=100)
assert "torch" not in sys.modules
"""
    command = [sys.executable, "-c", probe]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("1.0\n", 0), done.stderr


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> duetal.TrainedRun:
    return duetal.load(tiny_run)


@pytest.fixture
def truth(tiny_dataset: Path) -> Path:
    return tiny_dataset / "annotations.json"


@pytest.mark.recipe
@pytest.mark.parametrize(
    ("how", "stage"),
    [
        ({}, "cbp-f1"),
        ({"branch": "vlp"}, "vlp-b1"),
        ({"branch": "both"}, "ensemble"),
        ({"stage": "cbp-warmup"}, "cbp-warmup"),
    ],
)
def test_it_finds_what_the_command_finds(
    run: duetal.TrainedRun, tiny_dataset: Path, tmp_path: Path, how: dict[str, Any], stage: str
) -> None:
    found = run.localize(tiny_dataset, **how)
    duetal.write_detections(tmp_path / "found.json", found)
    stored = json.loads((run.path / "detections" / f"{stage}.json").read_text())
    assert json.loads((tmp_path / "found.json").read_text())["results"] == stored["results"]
    assert "the test set chose nothing" in found.external_data["selection"]


@pytest.mark.recipe
def test_files_and_objects_are_the_same_to_it(
    run: duetal.TrainedRun, tiny_dataset: Path, truth: Path, tmp_path: Path
) -> None:
    found = run.localize(str(tiny_dataset), branch="both")
    file = tmp_path / "found.json"
    duetal.write_detections(file, found)
    read = duetal.read_annotations(truth)
    results = [
        duetal.evaluate(detections, annotations, "seconds")
        for detections in (found, file, str(file), duetal.read_detections(file))
        for annotations in (truth, str(truth), read)
    ]
    assert all(result == results[0] for result in results)
    assert run.evaluation is not None
    assert results[0].mean_ap == run.evaluation.stages[-1].mean_ap
    assert duetal.diagnose(file, truth, "seconds").evaluation.mean_ap == results[0].mean_ap
    cbp = run.localize(tiny_dataset)
    contenders = {"one": cbp, "two": [found, file]}
    compared = duetal.compare(contenders, truth, "seconds", draws=100)
    assert compared.scores["two"] == pytest.approx(dict(results[0].averages))
    alone = duetal.evaluate(cbp, truth, "seconds")
    assert compared.scores["one"] == pytest.approx(dict(alone.averages))


@pytest.mark.recipe
def test_a_loaded_run_has_the_facts(run: duetal.TrainedRun, tiny_run: Path) -> None:
    assert run.path == tiny_run
    assert run.classes == ("Diving", "GolfSwing", "HighJump")
    assert run.stages == ("cbp-warmup", "vlp-zeroshot", "vlp-b1", "cbp-f1")
    assert run.grid.seconds_per_snippet == 0.64
    assert run.selection == "last checkpoint of each branch; the test set chose nothing"


@pytest.mark.recipe
def test_an_unknown_class_is_a_warning_at_the_caller(
    run: duetal.TrainedRun, tiny_dataset: Path, tmp_path: Path
) -> None:
    dataset = shutil.copytree(tiny_dataset, tmp_path / "dataset")
    path = dataset / "dataset.yaml"
    path.write_text(path.read_text().replace("- HighJump", "- HighJump\n- Chess"))
    with pytest.warns(duetal.DuetalWarning, match="not trained on the class 'Chess'") as caught:
        run.localize(dataset)
    assert caught[0].filename == __file__


@pytest.mark.recipe
@pytest.mark.parametrize(
    ("arguments", "how", "message"),
    [
        ("dataset", {"branch": "cbp", "stage": "cbp-f1"}, "give one of the two"),
        ("dataset", {"branch": "vpl"}, "nearest is"),
        ("dataset", {"features": "store"}, "stream and damaged: are for videos"),
        ("dataset", {"stream": 0}, "stream and damaged: are for videos"),
        ("nowhere", {}, "nowhere"),
        ("clip.mp4", {"subset": "test"}, "subset: is for a dataset"),
        ("clip.mp4", {"weights": {"rbg": "file"}}, "unknown modality 'rbg'; the nearest is 'rgb'"),
        ("clip.mp4", {"weights": {"rgb": "file"}}, "without a record of how they were made"),
    ],
)
@pytest.mark.filterwarnings("ignore::duetal.DuetalWarning")
def test_wrong_arguments_are_errors_of_one_line(
    run: duetal.TrainedRun,
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    how: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dataset").symlink_to(tiny_dataset)
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    with pytest.raises(duetal.DuetalError, match=message) as raised:
        run.localize(arguments, **how)
    assert "\n" not in str(raised.value)


@pytest.mark.recipe
def test_raw_videos_are_found_as_by_the_command(
    tmp_path: Path,
    tiny_backbones: dict[str, str],
    tiny_extraction: tuple[str, ...],
    tiny_settings: tuple[str, ...],
    duetal: Duetal,
) -> None:
    videos, store = tmp_path / "videos", tmp_path / "store"
    for number, label in enumerate(("GolfSwing", "HighJump")):
        actions = [api.Segment(0.5, 1.5, label)]
        render_clip(videos / f"{label}.mp4", duration=2.0, actions=actions, seed=number)
    store.mkdir()
    (store / "weak_train.tsv").write_text(
        "filename\tevent_labels\nGolfSwing\tGolfSwing\nHighJump\tHighJump\n"
    )
    settings = [argument for argument in tiny_settings if not argument.startswith("text_encoder")]
    assert duetal("extract", videos, "--out", store, *tiny_extraction)[0] == 0
    trained = tmp_path / "run"
    assert duetal("train", "demo", f"dataset={store}", *settings, "--out", trained)[0] == 0
    assert duetal("localize", trained, videos, "--out", tmp_path / "out")[0] == 0

    run = api.load(trained)
    expected = api.read_detections(tmp_path / "out" / "detections.json")
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    with pytest.warns(api.DuetalWarning, match=r"left out: .*bad\.mp4") as caught:
        found = run.localize([videos, str(bad)], features=tmp_path / "kept")
    assert caught[0].filename == __file__
    assert found.videos == expected.videos
    np.testing.assert_array_equal(found.score, expected.score)
    assert (tmp_path / "kept" / "records" / "HighJump.json").is_file()
    with pytest.raises(api.DuetalError, match=r"no video could be processed; .*bad\.mp4"):
        run.localize(bad)
    # Kept features are used again: no network is loaded.
    for source in tiny_backbones.values():
        assert source in RunFolder(trained).model_file.read_text()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = run.localize(videos, features=tmp_path / "kept")
    np.testing.assert_array_equal(again.start, expected.start)


@pytest.mark.recipe
def test_the_page_s_blocks_run(
    tiny_run: Path, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, target in (
        ("runs/thumos14/seed-0", tiny_run),
        ("data/new-videos", tiny_dataset),
        ("gt.json", tiny_dataset / "annotations.json"),
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).symlink_to(target)
    blocks = PYTHON_BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) >= 4
    # Python 3.11 warns so of zip() without strict=, which a page can do without.
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["result"].protocol == "thumos14/seconds-210"
    assert Path("found.json").is_file()


@pytest.mark.recipe
def test_it_trains_and_reports_as_the_commands_do(
    tiny_run: Path, tiny_dataset: Path, tiny_settings: tuple[str, ...], tmp_path: Path
) -> None:
    pairs = (word.partition("=") for word in tiny_settings)
    settings = {name: int(value) if value.isdigit() else value for name, _, value in pairs}
    run = api.train("demo", tmp_path / "run", dataset=tiny_dataset, settings=settings)
    expected = json.loads((tiny_run / "evaluation.json").read_text())
    assert json.loads((run.path / "evaluation.json").read_text()) == expected
    assert (run.path / "report.html").is_file()
    with pytest.raises(api.DuetalError, match="--resume"):
        api.train("demo", run.path, dataset=tiny_dataset, settings=settings)
    again = api.train("demo", run.path, dataset=tiny_dataset, settings=settings, resume=True)
    assert again.stages == run.stages
    with pytest.raises(api.UsageError, match="the nearest is 'learning_rate'"):
        api.train("demo", tmp_path / "x", dataset=tiny_dataset, settings={"learning_rat": 1})
    # The function, whatever parts of the package are imported.
    page = duetal.report(run.path, tmp_path / "page.html", title="Mine")
    assert page == (tmp_path / "page.html", "")
    assert "<h1>Mine</h1>" in page.path.read_text()
    truth, found = tiny_dataset / "annotations.json", run.path / "detections" / "ensemble.json"
    two = duetal.report(
        [run.path, found], tmp_path / "two.html", annotations=truth, protocol="seconds"
    )
    assert "2 on the same videos" in two.path.read_text()
    with pytest.raises(api.UsageError, match="several sources"):
        duetal.report([run.path, found])


def test_it_converts(tmp_path: Path) -> None:
    video = {"subset": "test", "annotations": [{"label": "jump", "segment": [0, 10]}]}
    (tmp_path / "gt.json").write_text(json.dumps({"database": {"v": video}}))
    done = duetal.convert(tmp_path / "gt.json", tmp_path / "gt.csv")
    assert (done.videos, done.rows) == (1, 1)
    assert duetal.read_annotations(tmp_path / "gt.csv").videos["v"].labels == ("jump",)
    with pytest.raises(api.UsageError, match="unknown form 'elann'; the nearest is 'elan'"):
        duetal.convert(tmp_path / "gt.json", tmp_path / "x.eaf", target_format="elann")
    with pytest.raises(api.UsageError, match="unknown option 'fsp'; the nearest is 'fps'"):
        duetal.convert(tmp_path / "gt.json", tmp_path / "x.eaf", fsp=25)


@pytest.mark.recipe
def test_it_extracts(tmp_path: Path, tiny_backbones: dict[str, str]) -> None:
    render_clip(tmp_path / "videos" / "a.mp4", duration=2.0, actions=[], seed=0)
    (tmp_path / "videos" / "b.mp4").write_bytes(b"no video")
    how: dict[str, Any] = {
        "weights": {name: tiny_backbones[name] for name in ("clip",)},
        "without": ("rgb", "flow"),
        "device": "cpu",
    }
    with pytest.warns(api.DuetalWarning, match=r"left out: .*b\.mp4") as caught:
        there = api.extract(tmp_path / "videos", tmp_path / "store", **how)
    assert caught[0].filename == __file__
    assert there == ("a",)
    with pytest.raises(api.UsageError, match="unknown modality 'rbg'; the nearest is 'rgb'"):
        api.extract(tmp_path / "videos", tmp_path / "store", without=["rbg"])


def test_a_notebook_shows_short_lines_and_tables(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    rows = [("v", hostile, float(k), k + 2.0, k / 100) for k in range(50)]
    found = api.Detections.from_rows(rows)
    video = api.VideoAnnotation("v", "test", 60.0, (hostile,), (api.Segment(0, 10, hostile),))
    truth = api.Annotations({"v": video}, (hostile,))
    shown = {
        "50 of 1 classes in 1 videos": found,
        "1 segments of 1 classes in 1 videos": truth,
        "<Evaluation under seconds: mAP ": duetal.evaluate(found, truth, "seconds"),
        "<Diagnosis at tIoU 0.5 of": duetal.diagnose(found, truth, "seconds"),
        "<Comparison of a, b on 1 videos": duetal.compare(
            {"a": found, "b": found}, truth, "seconds", draws=100
        ),
    }
    for text, value in shown.items():
        assert text in repr(value)
        assert len(repr(value)) < 300
        table = value._repr_html_()
        assert table.count("<tr>") >= 2
        assert "<script" not in table
    # The best twenty.
    assert "… and 30 more" in found._repr_html_()
    assert ">0.49<" in found._repr_html_()
    assert ">0.29<" not in found._repr_html_()


def test_rows_become_a_data_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    found = api.Detections.from_rows([("v", "jump", 0.0, 2.0, 0.5), ("w", "run", 1.0, 2.0, 0.4)])
    segment = api.Segment(0, 10, "jump")
    truth = api.Annotations(
        {"v": api.VideoAnnotation("v", "test", None, ("jump",), (segment,))}, ("jump", "run")
    )
    evaluation = duetal.evaluate(found, truth, "seconds")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(api.UsageError, match="needs pandas: pip install pandas"):
        found.to_frame()
    # pandas is nobody's dependency here: a stand-in that keeps the columns it is given.
    stand_in = types.SimpleNamespace(
        DataFrame=lambda columns: {k: [*v] for k, v in columns.items()}
    )
    monkeypatch.setitem(sys.modules, "pandas", stand_in)
    assert found.to_frame() == {
        "video": ["v", "w"],
        "label": ["jump", "run"],
        "start": [0.0, 1.0],
        "end": [2.0, 2.0],
        "score": [0.5, 0.4],
    }
    assert truth.to_frame()["label"] == ["jump"]
    assert evaluation.to_frame()["ap"] == list(evaluation.per_class["jump"])
