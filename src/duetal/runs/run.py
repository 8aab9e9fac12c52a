"""A run: how it begins in its folder, and how a trained one is opened."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from duetal.config import Config, load_config
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import read_json, read_text, remove_unfinished, write_json
from duetal.core.url_paths import as_path, explained
from duetal.datasets import Dataset, open_dataset
from duetal.datasets.problems import OnProblem, raise_fatal
from duetal.method.loop import Method
from duetal.results.folder import RunFolder
from duetal.results.schema import ModelRecord
from duetal.runs.environment import collect

#: Settings that leave no trace in any file a run is judged by: a resumed run may change them.
FREE = (
    "machine.checkpoint_every",
    "machine.cluster",
    "machine.devices",
    "machine.tensorboard",
)


@dataclass(frozen=True)
class Run:
    """A trained run, opened."""

    folder: RunFolder
    config: Config
    #: Its stages, and which of them to use.
    model: ModelRecord
    #: The branches it was trained with.
    method: Method = field(default_factory=Method)
    #: Where classes are found by their words: makes what scores videos, of a dataset, those of its
    #: videos that are to be localized, and a device, in place of the checkpoints alone.
    make_scorer: Callable[..., Any] | None = None


def open_run(path: Path, method: Method | None = None) -> Run:
    """Open the trained run in a folder; `method` is what it was trained with, if not the paper's.

    Raises:
        DuetalError: no run, one of several seeds, one that is not trained to its end, or damaged.
    """
    folder = RunFolder(path)
    if not path.is_dir():
        raise DuetalError("no such run folder", file=path)
    seeds = folder.seeds()
    if seeds and not folder.config_file.is_file():
        names = ", ".join(folder.of_seed(seed).path.name for seed in seeds)
        raise DuetalError(f"a run of several seeds; name one of {names}", file=path)
    if not folder.config_file.is_file():
        raise DuetalError("not a run: has no config.yaml", file=path)
    if not folder.model_file.is_file():
        cause = "training is not finished; duetal train … --resume goes on with it"
        raise DuetalError(cause, file=path)
    return Run(folder, read_config(folder), ModelRecord.read(folder.model_file), method or Method())


def open_data(config: Config, report: OnProblem = raise_fatal) -> Dataset:
    """The dataset that settings name, with the features that they choose.

    Raises:
        DuetalError: they name none; and as `open_dataset`.
    """
    data = config.data
    if data.dataset is None:
        raise DuetalError("the run's dataset is not recorded")
    return open_dataset(as_path(data.dataset), report, data.choice)


def with_localization(run: Run, settings: Mapping[str, Any]) -> Run:
    """The same run with other settings of localization, by name; a UsageError names a bad one."""
    localization = run.config.localization.replace(**settings)
    return replace(run, config=run.config.model_copy(update={"localization": localization}))


@contextmanager
def alone_in(folder: RunFolder) -> Iterator[None]:
    """Hold a run's folder for the block, so that no other process trains in it.

    The system releases the lock when the process ends, however it ends; where the file system has
    no locks, nothing is checked. What killed programs left unfinished is removed. A folder that the
    block leaves empty goes.

    Raises:
        DuetalError: another process trains there, or the folder can't be written.
    """
    if folder.path.exists() and not folder.path.is_dir():
        raise DuetalError("is a file; a run is a folder", file=folder.path)
    file = folder.path / ".lock"
    with explained("write", folder.path):
        folder.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        cause = "another duetal train is at work there; nothing was changed"
        raise DuetalError(cause, file=folder.path) from None
    except (OSError, NotImplementedError):
        # Writing what a run begins with reports a folder that can't be written.
        pass
    try:
        remove_unfinished(folder.path)
        yield
    finally:
        with suppress(OSError):
            if list(folder.path.iterdir()) == [file]:
                # While it is held: nobody else can take it in between.
                file.unlink()
                folder.path.rmdir()
        lock.release()


def check_begin(folder: RunFolder, config: Config, *, resume: bool) -> None:
    """Check that a run can begin in a folder, or go on there. Nothing is written.

    Raises:
        DuetalError: something else lies there, or a run that is not to be resumed.
        UsageError: the run there has other settings; names them.
    """
    path = folder.path
    if path.exists() and not path.is_dir():
        raise DuetalError("is a file; a run is a folder", file=path)
    # Hidden files are what a kill left of an unfinished write.
    if not path.exists() or all(
        item.name.startswith(".") or item == folder.dataset for item in path.iterdir()
    ):
        return
    if not folder.config_file.is_file():
        if folder.seeds():
            raise DuetalError("holds a run of several seeds, and --seeds was not given", file=path)
        raise DuetalError("is not empty and holds no run; nothing was overwritten", file=path)
    if not resume:
        cause = "holds a run already; nothing was overwritten (--resume goes on with it)"
        raise DuetalError(cause, file=path)
    chosen = config.tuning.choose
    differences = config.differences(read_config(folder), ignore=(*FREE, *chosen))
    if differences:
        cause = f"the run was begun with other settings: {'; '.join(differences)}"
        raise UsageError(cause, file=folder.config_file)


def begin(folder: RunFolder, config: Config, data: str = "") -> None:
    """Write the files that a run begins with, where they are not there yet.

    `data` is the `WeakVideos.fingerprint` of what it is trained on; a UsageError if the run there
    has another one.
    """
    if not folder.config_file.is_file():
        config.save(folder.config_file)
    if not folder.environment_file.is_file():
        write_json(folder.environment_file, collect() | {"training_data": data})
    begun = read_json(folder.environment_file)
    # Version 0.1.0 did not record it.
    if isinstance(begun, dict) and data not in ("", begun.get("training_data", data)):
        cause = "the training videos, their labels or the shapes of their features have changed"
        raise UsageError(f"{cause} since the run began", file=config.data.dataset or folder.path)


def read_config(folder: RunFolder) -> Config:
    """The settings of a run.

    Raises:
        DuetalError: unreadable.
        UsageError: a setting of another version of duetal, or edited badly.
    """
    return load_config(read_text(folder.config_file), folder.config_file)
