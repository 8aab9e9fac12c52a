"""The paths of the files in a run's folder."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

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
        """The machine and the versions of the run."""
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
        """How well every stage ranks videos by label, where no segment is known."""
        return self.path / "label_evaluation.json"

    @property
    def ground_truth_file(self) -> Path:
        """The videos and segments that detections are scored against."""
        return self.path / "ground_truth.json"

    @property
    def metrics_file(self) -> Path:
        """An event a line: phases, epochs, pseudo-labels."""
        return self.path / "metrics.jsonl"

    @property
    def summary_file(self) -> Path:
        """Scores over several seeds."""
        return self.path / "summary.json"

    @property
    def score_index_file(self) -> Path:
        """Classes and grid of the snippets' scores."""
        return self.path / "scores" / "index.json"

    def checkpoint(self, stage: str) -> Path:
        """The weights of a stage."""
        return self.path / "checkpoints" / f"{stage}.safetensors"

    def pseudo_labels(self, phase: str) -> Path:
        """The pseudo-labels of a phase, by training video: (T, K) int8."""
        return self.path / "pseudo_labels" / f"{phase}.safetensors"

    def detections(self, stage: str) -> Path:
        """The detections of a stage in the evaluated videos, ActivityNet results JSON."""
        return self.path / "detections" / f"{stage}.json"

    def scores(self, branch: str) -> Path:
        """Probabilities of a final branch, by evaluated video: (T, K) float16."""
        return self.path / "scores" / f"{branch}.safetensors"

    def log(self, line: str) -> None:
        """Append a line to log.txt, with the time."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{stamp} {line}\n")

    def seeds(self) -> list[int]:
        """Seeds of the runs inside, where this is the folder of several."""
        if not self.path.is_dir():
            return []
        names = (item.name for item in self.path.iterdir() if item.is_dir())
        return sorted(int(found[1]) for n in names if (found := re.fullmatch(r"seed-(\d+)", n)))

    def of_seed(self, seed: int) -> "RunFolder":
        """The folder of one of several seeds."""
        return RunFolder(self.path / f"seed-{seed}")
