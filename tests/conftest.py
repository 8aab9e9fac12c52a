"""What every test stands on: a home of its own, no network, one thread, and the real data."""

import faulthandler
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest

REPOSITORY = Path(__file__).parents[1]
REAL_DATA = Path(os.environ.get("DUETAL_REAL_DATA") or REPOSITORY.parent / "shared" / "data")
NO_REAL_DATA = f"no real data at {REAL_DATA}; DUETAL_REAL_DATA can name another folder"

# Before any test module imports torch or numba, and inherited by the programs that tests start.
_home = tempfile.TemporaryDirectory(prefix="duetal-tests-home-")
os.environ.update(
    HOME=_home.name,
    # Compiled once per checkout: compiling anew in every run would take longer than the tests.
    NUMBA_CACHE_DIR=str(REPOSITORY / ".pytest_cache" / "numba"),
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    # xdist gives every worker a core; two cores shared by threads are slower than one each.
    OMP_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    NUMBA_NUM_THREADS="1",
    # Plain text, whatever terminal the tests are started from.
    NO_COLOR="1",
    COLUMNS="100",
)
for _name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HF_HOME", "FORCE_COLOR"):
    os.environ.pop(_name, None)

# A busy machine is slow, and the first call of a compiled function slower: neither is a fault.
# Continuous integration tries the same examples each time: a commit then fails by its own doing.
hypothesis.settings.register_profile(
    "duetal",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
hypothesis.settings.load_profile("duetal")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data: `$DUETAL_REAL_DATA`, or `shared/data` beside the checkout."""
    if not REAL_DATA.is_dir():
        pytest.skip(NO_REAL_DATA)
    return REAL_DATA


@dataclass(frozen=True)
class InMemory:
    """A stream of (T, C) arrays by name, where a `FeatureReader` is wanted."""

    arrays: Mapping[str, Any]

    @property
    def dim(self) -> int:
        return int(next(iter(self.arrays.values())).shape[1])

    def length(self, name: str) -> int:
        return len(self.arrays[name])

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Any:
        return self.arrays[name][start:stop]

    def path(self, name: str) -> Path:
        return Path(name)


@pytest.fixture(scope="session")
def in_memory() -> type[InMemory]:
    return InMemory


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Any]:
    pytest.importorskip("s3fs")
    from _object_store import serving

    with serving() as server:
        yield server


@pytest.fixture
def object_store(s3_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An S3 server over HTTP that counts requests and can be made to fail; see `_object_store`.

    `put(path)` copies a file or folder into its bucket and gives the URL, which this module's
    access in the environment can read. The cache is the test's own, and empty.
    """
    from duetal.core import url_paths

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "se7en-secret-words")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("DUETAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(url_paths, "_PAUSES", (0.01, 0.01, 0.01))
    url_paths._system.cache_clear()
    s3_server.reset()
    return s3_server


#: A run that trains in about a second: `key=value` words for `duetal train`.
TINY_SETTINGS = (
    "crop=32",
    "batch_size=4",
    "repeats_per_epoch=1",
    "cbp.embed_dim=16",
    "cbp.heads=2",
    "cbp.levels=2",
    "vlp.heads=2",
    "warmup_epochs=2",
    "b_epochs=1",
    "f_epochs=1",
    "alternations=1",
    "text_encoder=",
    "accelerator=cpu",
    "protocol=seconds",
    "detector.width=8",
    "detector.scales=3",
    "tuning.updates=20",
)


@pytest.fixture(scope="session")
def tiny_settings() -> tuple[str, ...]:
    """`key=value` words that make any recipe train in about a second."""
    return TINY_SETTINGS


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated dataset of six training and three test videos; not to be written to."""
    from duetal.core.annotations import Annotations, Segment, VideoAnnotation
    from duetal.simulation.generate import simulate
    from duetal.simulation.world import Simulation

    classes = ("Diving", "GolfSwing", "HighJump")
    videos = {}
    for number in range(9):
        label = classes[number % 3]
        starts = range(3, 30, 7 + number % 3)
        segments = tuple(Segment(start, start + 3.5, label) for start in starts)
        subset = "train" if number < 6 else "test"
        name = f"v_{number}"
        videos[name] = VideoAnnotation(name, subset, 32.0 + 2 * number, (label,), segments)
    folder = tmp_path_factory.mktemp("tiny") / "dataset"
    settings = Simulation(cbp_channels=12, vlp_channels=8, topics=4)
    simulate(Annotations(videos, classes), folder, settings)
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_dataset: Path) -> Path:
    """A run trained and evaluated on it; not to be written to."""
    return _train(tmp_path_factory.mktemp("tiny") / "run", tiny_dataset, *TINY_SETTINGS)


@pytest.fixture(scope="session")
def tiny_detector_run(tmp_path_factory: pytest.TempPathFactory, tiny_dataset: Path) -> Path:
    """The same with two rounds of the detector, not to be written to."""
    words = [*TINY_SETTINGS, "detector.rounds=2", "detector.epochs=3"]
    return _train(tmp_path_factory.mktemp("tiny") / "run", tiny_dataset, *words)


def _train(folder: Path, dataset: Path, *settings: str) -> Path:
    """A run of the recipe `demo`, as the command makes it."""
    from duetal.cli.main import main

    with pytest.raises(SystemExit) as stop:
        main(["train", "demo", f"dataset={dataset}", *settings, "--out", str(folder)])
    assert stop.value.code == 0
    return folder


@pytest.fixture(scope="session")
def tiny_backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Weights of random content by backbone, as `ExtractionSettings.weights`; CLIP is tiny."""
    from duetal.backbones.i3d import random_weights
    from duetal.simulation.tiny_clip import make_tiny_clip

    folder = tmp_path_factory.mktemp("backbones")
    random_weights(folder / "rgb.pt", "rgb")
    random_weights(folder / "flow.pt", "flow")
    make_tiny_clip(folder / "clip")
    return {
        "rgb": str(folder / "rgb.pt"),
        "flow": str(folder / "flow.pt"),
        "clip": str(folder / "clip"),
    }


@pytest.fixture(scope="session")
def tiny_extraction(tiny_backbones: dict[str, str]) -> tuple[str, ...]:
    """Options that make `duetal extract` take a fraction of a second a snippet."""
    from duetal.backbones import BACKBONES

    words = [f"{record.option}={tiny_backbones[record.name]}" for record in BACKBONES]
    return (*words, "--short-side=32", "--crop=32", "--device=cpu", "--threads=1")


@pytest.fixture(scope="session")
def video_run(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_extraction: tuple[str, ...],
    tiny_settings: tuple[str, ...],
) -> Path:
    """A run trained on the store of four rendered videos; not to be written to."""
    from duetal.cli.main import main
    from duetal.core.annotations import Segment
    from duetal.simulation.clips import render_clip

    folder = tmp_path_factory.mktemp("trained")
    labels = ["filename\tevent_labels"]
    for number in range(4):
        label = ("GolfSwing", "HighJump")[number % 2]
        actions = [Segment(0.5, 2.0, label)]
        render_clip(
            folder / "videos" / f"t{number}.mp4", duration=2.6, actions=actions, seed=number
        )
        labels.append(f"t{number}\t{label}")
    store, run = folder / "store", folder / "run"
    store.mkdir()
    (store / "weak_train.tsv").write_text("\n".join(labels) + "\n")
    settings = [argument for argument in tiny_settings if not argument.startswith("text_encoder")]
    for arguments in (
        ["extract", folder / "videos", "--out", store, *tiny_extraction],
        ["train", "demo", f"dataset={store}", *settings, "--out", run],
    ):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        assert stop.value.code == 0
    return run


@pytest.fixture
def duetal(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process; give exit code, standard output and error."""
    from duetal.cli.main import main

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        output = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code, output.out, output.err

    return run


#: By their weights and settings.
_TRACED: dict[str, Any] = {}


@pytest.fixture
def traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace no network to ONNX that has been traced in this process: it takes seconds."""
    from duetal.publishing import onnx_graph

    trace = onnx_graph._trace

    def remembered(graph: Any, inputs: dict[str, int]) -> Any:
        weights = [value.tolist() for value in graph.state_dict().values()]
        key = repr((vars(graph), weights, inputs))
        if key not in _TRACED:
            _TRACED[key] = trace(graph, inputs)
        return _TRACED[key]

    monkeypatch.setattr(onnx_graph, "_trace", remembered)


class Forked(multiprocessing.get_context("fork").Process):
    """A function in a process of its own, begun with all that this one has imported.

    A new Python takes seconds to import PyTorch. What a `SystemExit` gives is the exit code. The
    last methods are those of `subprocess.Popen` that Lightning needs.
    """

    def __init__(self, function: Callable[..., object], arguments: tuple[Any, ...], prints: Path):
        super().__init__(target=function, args=arguments)
        self.prints = prints

    @property
    def out(self) -> str:
        """What it has printed so far."""
        return self.prints.with_suffix(".out").read_text()

    @property
    def err(self) -> str:
        return self.prints.with_suffix(".err").read_text()

    def run(self) -> None:
        # A shell that runs the tests in the background has its children ignore Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for descriptor, name in ((1, "out"), (2, "err")):
            file = self.prints.with_suffix(f".{name}").open("a", buffering=1)
            os.dup2(file.fileno(), descriptor)
            setattr(sys, f"std{name}", file)
        faulthandler.enable(sys.stderr)
        super().run()

    @property
    def returncode(self) -> int | None:
        return self.exitcode

    def poll(self) -> int | None:
        return self.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid or 0, number)

    def wait(self, timeout: float = 300) -> int | None:
        """Its exit code; one that hangs is ended, and says where it was."""
        self.join(timeout)
        if self.is_alive():
            self.send_signal(signal.SIGABRT)
            self.join(10)
            raise AssertionError(f"still at work after {timeout} s:\n{self.err}")
        return self.exitcode


@pytest.fixture
def forked(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Forked]:
    """Start a function in a process of its own; `forked.ranks` of a run with several processes."""
    folder = tmp_path_factory.mktemp("forked")
    count = iter(range(1000))

    def start(function: Callable[..., object], *arguments: Any) -> Forked:
        process = Forked(function, arguments, folder / str(next(count)))
        process.start()
        return process

    def ranks(function: Callable[..., object], *arguments: Any) -> Forked:
        """The first process of a run; the others, which Lightning starts, are forked from it."""
        from lightning_fabric.strategies.launchers import subprocess_script
        from lightning_fabric.utilities.rank_zero import rank_zero_only

        def as_rank(environment: dict[str, str]) -> None:
            os.environ.update(environment)
            rank_zero_only.rank = int(environment["LOCAL_RANK"])
            function(*arguments)

        def first() -> None:
            def start_another(command: object, env: dict[str, str], cwd: object) -> Forked:
                another = Forked(as_rank, (env,), process.prints)
                another.start()
                return another

            subprocess_script.subprocess = SimpleNamespace(Popen=start_another)  # type: ignore[assignment]
            function(*arguments)

        process = Forked(first, (), folder / str(next(count)))
        process.start()
        return process

    start.ranks = ranks  # type: ignore[attr-defined]
    return start


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say aloud that the tests on real data did not run: silence would look like success."""
    skipped = [
        report for report in terminalreporter.getreports("skipped") if "real" in report.keywords
    ]
    if skipped:
        terminalreporter.section("real data", sep="!", yellow=True, bold=True)
        terminalreporter.write_line(
            f"WARNING: {len(skipped)} tests on real data were skipped ({NO_REAL_DATA}).",
            yellow=True,
        )
