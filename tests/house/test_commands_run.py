"""Every command that the documentation shows runs, page by page.

A page's commands run one after the other in a folder of its own, in which the files and folders
that they name are provided: a tiny world of rendered videos, networks of random weights and a run
trained on them. The arguments of a command are unchanged. Arguments that make it small are put
before them, so that those of the page have priority. Options of all commands, run or not, are
checked in test_docs.py.
"""

import contextlib
import io
import itertools
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documentation import PAGES, ROOT, commands

from duetal.cli.main import main

#: What is not run, by what the line begins with or holds, and why.
NOT_RUN = {
    "make demo": "sets up an environment; tests/examples runs the demo",
    "make test": "is what runs this",
    "make bench": "measures for minutes",
    "make docs": "tests/house/test_site.py builds the site",
    "make wheel": "tests/house/test_wheel.py builds and installs it",
    "make figures": "trains for a minute; tests/house/test_figures.py draws them small",
    "pytest": "would run the tests in the tests",
    "python examples/": "takes minutes or the real data; tests/examples runs each of them small",
    "python benchmarks/": "measures for minutes",
    "benchmarks/gpu.sh": "measures a GPU; tests/benchmarks runs its steps",
    "python scripts/interval_coverage": "simulates for minutes",
    "npm ": "fetches packages; tests/house/test_checks.py runs tsc and eslint",
    "pip install": "fetches packages",
    "label-studio/bin": "makes an environment for Label Studio",
    "label-studio start": "is Label Studio's own program",
    "LABEL_STUDIO": "is for a real Label Studio server",
    "serve label-studio": "the same; tests/ml_backend has one, or a stand-in",
    "git clone": "fetches the repository",
    "--cbp ": "downloads models; tests/cli/test_extract_families.py has tiny ones",
    " cbp=": "the same; tests/cli/test_extract_families.py trains on a store of several",
    "import-features": "reads what others publish; tests/datasets/test_importing.py makes it up",
    "--splits 10": "trains eleven runs; tests/runs trains three",
    "--out runs/open-": "draws of many classes; tests/runs has a run on a draw of three",
    "torchrun ": "needs two machines; tests/runs/test_nodes.py has two on one",
    "srun ": "the same",
    "s3://": "an object store, and a cluster; tests/extraction and tests/runs have local ones",
    "mode=async": "starts Ray; tests/runs/test_asynchronous.py forks its processes",
    "hf ": "is the hub's own program",
    "seen_classes=[Baby": "names classes of real data; tests/runs trains on others",
    "hf://": "downloads from the hub; tests/publishing has a stand-in",
    "duetal push": "sends to the hub; its own test has a local one",
}
#: Options whose value a command writes.
WRITTEN = ("--out", "--json", "--plots", "--onnx", "--card")
#: Files that annotation tools have saved.
CORRECTED = ROOT / "tests" / "cases" / "corrected"
#: Commands that refuse to write over what is there. A page shows alternatives; each begins anew.
FROM_NEW = ("train", "simulate", "convert", "recipes", "fit")

#: Of training, beside those of every tiny run: nothing is chosen, as test_train_command.py does.
QUICK = ("tuning.choose=[]", "detector.epochs=2")


@dataclass(frozen=True)
class World:
    """What the provided files are copied from; not to be written to."""

    folder: Path
    extraction: tuple[str, ...]
    settings: tuple[str, ...]

    def dataset(self, place: Path, annotation: str = "annotations.json") -> None:
        """A dataset with segments; of BaS-Net's layout where the annotation is `gt.json`."""
        shutil.copytree(self.folder / "run" / "video-dataset", place)
        (place / "annotations.json").unlink()
        shutil.copy(self.folder / annotation, place)


def _copied(name: str) -> Callable[[World, Path], None]:
    """A provider that copies a file or folder of the world."""

    def provide(world: World, place: Path) -> None:
        source = world.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, place)

    return provide


def _scores(world: World, place: Path) -> None:
    """Scores of two classes in one video."""
    np.savez(place, v_0=np.random.default_rng(0).uniform(size=(40, 2)))


def _splits(world: World, place: Path) -> None:
    """Two splits of the classes with their detections."""
    for name in ("0", "1"):
        _copied("run/detections/ensemble.json")(world, place / name / "detections.json")
        _copied("gt.json")(world, place / name / "gt.json")


#: Who provides what a page names: the first pattern that fits a path, or the beginning of one, by
#: itself or with the command before it.
PROVIDED: dict[str, Callable[[World, Path], None]] = {
    "*labels.csv": _copied("labels.csv"),
    "data/my-videos": _copied("videos"),
    "data/thumos14": lambda world, place: world.dataset(place, "gt.json"),
    "extract data/new-videos": _copied("new-videos"),
    "data/*": World.dataset,
    "runs/*": _copied("run"),
    "runs/*/seed-?": _copied("run"),
    "backend/rounds/*/run": _copied("run"),
    "videos/thumos14": _copied("videos"),
    "videos": _copied("videos"),
    "clips": _copied("videos"),
    "new-clips": _copied("new-videos"),
    "matches": _copied("new-videos"),
    "*.mp4": _copied("holiday.mp4"),
    "gt.json": _copied("gt.json"),
    "scores.npz": _scores,
    "splits": _splits,
    "classes.txt": lambda world, place: place.write_text("Diving\nHighJump\n"),
    "marked.json": _copied("annotations.json"),
    "corrected.json": _copied("annotations.json"),
    "corrected": lambda world, place: shutil.copytree(CORRECTED / "fiftyone", place),
    "annotations.json": _copied("annotations.json"),
    "THUMOS14_annotations": _copied("thumos14-text"),
    "export.json": _copied("label-studio.json"),
    "detections*.json": _copied("run/detections/ensemble.json"),
    "*rgb*.pt": _copied("weights/rgb.pt"),
    "*flow*.pt": _copied("weights/flow.pt"),
    "openai/clip-*": _copied("weights/clip"),
}


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_backbones: dict[str, str],
    tiny_extraction: tuple[str, ...],
    tiny_settings: tuple[str, ...],
) -> World:
    """Ten rendered videos, what is known of eight, and a run that was trained on them."""
    from duetal.core.annotations import Annotations, Segment, VideoAnnotation
    from duetal.formats.activitynet import write_annotations
    from duetal.simulation.clips import render_clip

    folder = tmp_path_factory.mktemp("world")
    classes = ("Diving", "HighJump")
    known, table = {}, ["video,labels,split"]
    for number in range(10):
        name, label = f"v_{number}", classes[number % 2]
        action = Segment(0.6, 1.9, label)
        place = folder / ("videos" if number < 8 else "new-videos") / f"{name}.mp4"
        render_clip(place, duration=2.6, size=(48, 32), actions=[action], seed=number)
        if number < 8:
            subset = "test" if number > 5 else "train"
            known[name] = VideoAnnotation(name, subset, 2.6, (label,), (action,))
            table.append(f"{name}.mp4,{label},{subset}")
    shutil.copy(folder / "new-videos" / "v_8.mp4", folder / "holiday.mp4")
    (folder / "labels.csv").write_text("\n".join(table) + "\n")
    shutil.copytree(Path(tiny_backbones["rgb"]).parent, folder / "weights")
    truth = folder / "annotations.json"
    write_annotations(truth, Annotations(known, classes))
    world = World(folder, tiny_extraction, (*tiny_settings, *QUICK))
    for words in (
        ("convert", truth, folder / "gt.json", "--to", "basnet"),
        ("convert", truth, folder / "thumos14-text", "--to", "thumos14"),
        ("convert", truth, folder / "label-studio.json", "--to", "label-studio", "--fps", "25"),
        (
            *("train", "demo", *world.settings, "--videos", folder / "videos"),
            *("--labels", folder / "labels.csv", "--annotations", truth),
            *("--out", folder / "run", *tiny_extraction),
        ),
    ):
        code, output = run([str(word) for word in words])
        assert code == 0, output
    return world


def run(words: list[str]) -> tuple[int, str]:
    """Run duetal in this process; its exit code and its output."""
    output = io.StringIO()
    with (
        pytest.raises(SystemExit) as stop,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        main(words)
    assert isinstance(stop.value.code, int)
    return stop.value.code, output.getvalue()


def review_once(server: Any, sockets: object) -> None:
    """In place of a review's server: a person says of the first video that a class occurs."""
    service = server.config.app.app.state.service
    version = service.corrections.version(service.names[0])
    service.act(0, version, {"verb": "labels", "present": service.review.classes[:1]})


def reason_not_to_run(line: str) -> str | None:
    """Why a line is not run, if it is not."""
    return next((why for part, why in NOT_RUN.items() if part in line), None)


def runnable(page: Path) -> list[str]:
    """The page's lines that are run."""
    return [line for line in commands(page) if reason_not_to_run(line) is None]


def outputs(words: list[str]) -> list[str]:
    """The words that name what the command writes."""
    after = [word for option, word in itertools.pairwise(words) if option in WRITTEN]
    plain = [word for word in words if not word.startswith("-")]
    if words[0] == "convert":
        after.append(plain[2])
    if words[0] == "fit":
        after.append(f"{plain[2]}/features/clip")
    if words[:2] == ["recipes", "cp"]:
        after += plain[3:4]
    return after


def provider_of(place: Path, command: str) -> Callable[[World, Path], None] | None:
    """Who provides a path that a command names, if anybody has to."""
    for pattern, make in PROVIDED.items():
        if place.match(pattern) or Path(f"{command} {place}").match(pattern):
            return make
    return None


def provide(word: str, command: str, world: World, folder: Path) -> str:
    """Have what a word names, if it is something to be provided; the word, made relative."""
    prefix, equals, name = word.rpartition("=")
    path = Path(name.lstrip("/"))
    # `data/mine/annotations.json` comes with `data/mine`.
    makers = {place: provider_of(place, command) for place in (*reversed(path.parents), path)}
    for place, make in makers.items():
        if make is not None and not (folder / place).exists():
            make(world, folder / place)
    return f"{prefix}{equals}{path}" if any(makers.values()) else word


def remove_earlier(name: str, words: list[str]) -> None:
    """Remove what an earlier alternative wrote as `tasks.json`, and as `tasks.interface.xml`."""
    for path in [Path(name), *Path(name).parent.glob(f"{Path(name).stem}.*")]:
        if str(path) not in words or str(path) == name:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def prepare(line: str, world: World, folder: Path) -> list[str]:
    """The words for duetal: what they name is there, what they write is not, and all is small."""
    program, *words = shlex.split(line, comments=True)
    assert program == "duetal", f"{line!r} is not run: give the reason in NOT_RUN"
    written = outputs(words)
    command = words[0]
    words = [w if w in written else provide(w, command, world, folder) for w in words]
    if words[0] in FROM_NEW and not {"--resume", "--force"} & set(words):
        for word in written:
            remove_earlier(word, words)
    if words[0] == "extract":
        words[1:1] = world.extraction
    elif words[0] == "localize" and (Path(words[1]).suffix == ".mp4" or words[1] == "clips"):
        # Without a run nothing says where the weights are.
        words[1:1] = ["--clip", str(world.folder / "weights" / "clip")]
    elif words[0] == "train":
        words[2:2] = world.settings
        if "--videos" in words:
            words[1:1] = world.extraction
    return words


@pytest.mark.recipe
@pytest.mark.parametrize(
    "page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name
)
def test_the_commands_of_a_page_run(page, world, forked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("uvicorn.Server.run", review_once)
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    for line in runnable(page):
        words = prepare(line, world, tmp_path)
        if any(word.startswith("devices=") for word in words):
            process = forked.ranks(main, words)
            code, output = process.wait(), process.out + process.err
        else:
            code, output = run(words)
        paths = [word for word in words if "/" in word and not word.startswith("-")]
        absent = [word for word in paths if not Path(word).exists()]
        assert code == 0, (
            f"{page.name}: {line!r} ended with exit code {code}:\n{output}\n"
            f"run as: duetal {shlex.join(words)}\n"
            f"not there: {absent}; what a page names needs a row in PROVIDED"
        )


def test_every_example_that_is_not_run_here_has_a_test():
    scripts = sorted((ROOT / "tests" / "examples").glob("*.py"))
    tests = "".join(path.read_text(encoding="utf-8") for path in scripts)
    lines = {line for page in PAGES for line in commands(page)}
    named = {Path(word).stem for line in lines for word in line.split() if "examples/" in word}
    assert [name for name in sorted(named) if f'load_example("{name}"' not in tests] == []


def test_a_command_of_another_program_needs_a_reason_not_to_be_run(world, tmp_path):
    with pytest.raises(AssertionError, match="NOT_RUN"):
        prepare("curl https://example.org", world, tmp_path)


def test_a_command_that_fails_is_found(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = prepare("duetal check data/mine --jsn found.json", world, tmp_path)
    assert run(words)[0] == 2
    assert run(["check", "data/mine"])[0] == 0
