"""The paths of the files in a run's folder."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

#: The dataset that `duetal train --videos` makes in a run's folder, before the run begins.
DATASET = "video-dataset"


class _At:
    """A path at a fixed place in a run's folder."""

    def __init__(self, place: str):
        self._place = place

    def __get__(self, folder: "RunFolder", kind: type["RunFolder"]) -> Path:
        return folder.path / self._place


@dataclass(frozen=True)
class RunFolder:
    """The folder of one training run."""

    path: Path

    config_file = _At("config.yaml")  #: Every setting, as it was used.
    choices_file = _At("choices.json")  #: The settings chosen before training, and why.
    environment_file = _At("environment.json")  #: The machine and the versions of the run.
    dataset = _At(DATASET)  #: The dataset made of videos and a table of labels, where it was.
    model_file = _At("model.json")  #: Which checkpoints to use; there once training is done.
    evaluation_file = _At("evaluation.json")  #: Scores and diagnostics of every stage.
    #: How well every stage ranks videos by label, where no segment is known.
    label_evaluation_file = _At("label_evaluation.json")
    ground_truth_file = _At("ground_truth.json")  #: What detections are scored against.
    metrics_file = _At("metrics.jsonl")  #: An event a line: phases, epochs, pseudo-labels.
    summary_file = _At("summary.json")  #: Scores over several seeds.
    unseen_file = _At("unseen.json")  #: Scores of the classes that were not trained on.
    score_index_file = _At("scores/index.json")  #: Classes and grid of the snippets' scores.

    def checkpoint(self, stage: str) -> Path:
        """The weights of a stage."""
        return self.path / "checkpoints" / f"{stage}.safetensors"

    def tuned(self, stage: str) -> Path:
        """A store of the features that a stage reads, where its backbones were trained."""
        return self.path / "tuned" / stage

    def pseudo_labels(self, phase: str) -> Path:
        """The pseudo-labels of a phase, by training video: (T, K) int8."""
        return self.path / "pseudo_labels" / f"{phase}.safetensors"

    def detections(self, stage: str) -> Path:
        """The detections of a stage in the evaluated videos, ActivityNet results JSON."""
        return self.path / "detections" / f"{stage}.json"

    def scores(self, branch: str) -> Path:
        """Probabilities of a final branch, by evaluated video: (T, K) float32."""
        return self.path / "scores" / f"{branch}.safetensors"

    def video_scores(self, branch: str) -> Path:
        """Its probabilities that a video has each class, by evaluated video: (K,) float32."""
        return self.path / "scores" / f"{branch}-videos.safetensors"

    def log(self, line: str) -> None:
        """Append a line to log.txt, with the time."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{stamp} {line}\n")

    def is_run(self) -> bool:
        """Whether it is a run's folder, trained or not, rather than videos or a dataset."""
        return self.config_file.is_file() or bool(self.seeds())

    def seeds(self) -> list[int]:
        """Seeds of the runs inside, where this is the folder of several."""
        if not self.path.is_dir():
            return []
        names = (item.name for item in self.path.iterdir() if item.is_dir())
        return sorted(int(found[1]) for n in names if (found := re.fullmatch(r"seed-(\d+)", n)))

    def of_seed(self, seed: int) -> "RunFolder":
        """The folder of one of several seeds."""
        return RunFolder(self.path / f"seed-{seed}")

    def of_split(self, split: int | None) -> "RunFolder":
        """The folder of one of several splits of the classes; None: of the run on all of them."""
        return RunFolder(self.path / ("all-classes" if split is None else f"split-{split}"))
