"""A run's folder: what lies where, how a run begins in it, and how a trained one is opened."""

import re
from dataclasses import dataclass
from pathlib import Path

from duetal.config import Config, load_config
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import write_json
from duetal.runs.environment import collect
from duetal.runs.journal import append_log
from duetal.runs.model_record import ModelRecord, read_model

#: Settings that leave no trace in any file a run is judged by: a resumed run may change them.
FREE = ("checkpoint_every", "tensorboard")
#: The dataset that `duetal train --videos` makes in a run's folder, before the run begins.
DATASET = "video-dataset"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one training run.

    Args:
        path: the folder.
    """

    path: Path

    @property
    def config_file(self) -> Path:
        """Every setting, as it was used."""
        return self.path / "config.yaml"

    @property
    def environment_file(self) -> Path:
        """What the run was made on."""
        return self.path / "environment.json"

    @property
    def dataset(self) -> Path:
        """The dataset that was made of videos and a table of labels, where it was."""
        return self.path / DATASET

    @property
    def model_file(self) -> Path:
        """Which checkpoints to use; there once training is done."""
        return self.path / "model.json"

    @property
    def evaluation_file(self) -> Path:
        """Scores and diagnostics of every stage."""
        return self.path / "evaluation.json"

    @property
    def label_evaluation_file(self) -> Path:
        """How well every stage tells labels, where no segment is known to score against."""
        return self.path / "label_evaluation.json"

    @property
    def ground_truth_file(self) -> Path:
        """The videos and segments that the scores are against."""
        return self.path / "ground_truth.json"

    @property
    def score_index_file(self) -> Path:
        """Classes and grid of the snippets' scores."""
        return self.path / "scores" / "index.json"

    def checkpoint(self, stage: str) -> Path:
        """The weights of a stage."""
        return self.path / "checkpoints" / f"{stage}.safetensors"

    def pseudo_labels(self, phase: str) -> Path:
        """What the teacher of a phase said, by training video: (T, K) int8."""
        return self.path / "pseudo_labels" / f"{phase}.safetensors"

    def detections(self, stage: str) -> Path:
        """What a stage finds in the evaluated videos, ActivityNet results JSON."""
        return self.path / "detections" / f"{stage}.json"

    def scores(self, branch: str) -> Path:
        """Probabilities of a final branch, by evaluated video: (T, K) float16."""
        return self.path / "scores" / f"{branch}.safetensors"

    def log(self, line: str) -> None:
        """Append a line to log.txt."""
        append_log(self.path, line)

    def seeds(self) -> list[int]:
        """Seeds of the runs inside, where this is the folder of several."""
        if not self.path.is_dir():
            return []
        matches = [
            re.fullmatch(r"seed-(\d+)", item.name) for item in self.path.iterdir() if item.is_dir()
        ]
        return sorted(int(match[1]) for match in matches if match)

    def of_seed(self, seed: int) -> "RunFolder":
        """The folder of one of several seeds."""
        return RunFolder(self.path / f"seed-{seed}")


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
        item.name.startswith(".") or item.name == DATASET for item in path.iterdir()
    ):
        return
    if not folder.config_file.is_file():
        if folder.seeds():
            raise DuetalError("holds a run of several seeds, and --seeds was not given", file=path)
        raise DuetalError("is not empty and holds no run; nothing was overwritten", file=path)
    if not resume:
        cause = "holds a run already; nothing was overwritten (--resume goes on with it)"
        raise DuetalError(cause, file=path)
    differences = config.differences(read_config(folder), ignore=FREE)
    if differences:
        cause = f"the run was begun with other settings: {'; '.join(differences)}"
        raise UsageError(cause, file=folder.config_file)


def begin(folder: RunFolder, config: Config) -> None:
    """Write what a run begins with, where it is not there yet."""
    if not folder.config_file.is_file():
        config.save(folder.config_file)
    if not folder.environment_file.is_file():
        write_json(folder.environment_file, collect())


def read_config(folder: RunFolder) -> Config:
    """The settings of a run.

    Raises:
        DuetalError: unreadable.
        UsageError: a setting of another version of duetal, or edited badly.
    """
    try:
        text = folder.config_file.read_text(encoding="utf-8")
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=folder.config_file) from error
    except UnicodeDecodeError as error:
        raise DuetalError("not UTF-8 text", file=folder.config_file) from error
    return load_config(text, folder.config_file)


@dataclass(frozen=True)
class Run:
    """A trained run, opened.

    Args:
        folder: where it lies.
        config: its settings.
        model: its stages, and which of them to use.
    """

    folder: RunFolder
    config: Config
    model: ModelRecord


def open_run(path: Path) -> Run:
    """Open a trained run.

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
    return Run(folder, read_config(folder), read_model(folder.model_file))
