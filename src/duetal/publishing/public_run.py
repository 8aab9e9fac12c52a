"""A trained run that is to be published: opened with its scores, and without what is private.

Left out are logs, the environment, ground truth, detections, pseudo-labels, checkpoints that
localization does not use, and names of videos. A path of this machine is reduced to its last part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from duetal.config import Config
from duetal.core.records import read_if_there
from duetal.evaluation import Summary, summarize
from duetal.results.folder import RunFolder
from duetal.results.schema import LabelEvaluation, ModelRecord, RunEvaluation
from duetal.runs.run import Run, open_run


@dataclass(frozen=True)
class PublicRun:
    """A trained run, or all seeds of one of several.

    `runs`, and the `evaluations` and `labels` of those that have any, are by subfolder: "" for a
    single run, "seed-N" for one of several. `summary` is of each stage over `seeds`, by title; for
    one of several seeds it is over all of them. Both are empty where there is one seed.
    """

    path: Path
    runs: Mapping[str, Run]
    evaluations: Mapping[str, RunEvaluation]
    labels: Mapping[str, LabelEvaluation]
    summary: Mapping[str, Summary]
    seeds: tuple[int, ...]

    @property
    def first(self) -> Run:
        """The first run; the others differ in their seeds alone."""
        return next(iter(self.runs.values()))


def open_public_run(path: Path) -> PublicRun:
    """Open a trained run, or all seeds of one of several.

    DuetalError if there is no run, or one that is not trained to its end, or a damaged one.
    """
    folder = RunFolder(path)
    is_single = folder.config_file.is_file() or not folder.seeds()
    siblings = RunFolder(path.absolute().parent) if is_single else folder
    own = {seed: siblings.of_seed(seed) for seed in siblings.seeds()}
    if is_single:
        runs = {"": open_run(path)}
        own = own if RunFolder(path.absolute()) in own.values() else {}
    else:
        runs = {each.path.name: open_run(each.path) for each in own.values()}
    evaluations, labels, scored = {}, {}, {}
    for name, run in runs.items():
        if found := read_if_there(RunEvaluation, run.folder.evaluation_file):
            evaluations[name] = found
        if ranked := read_if_there(LabelEvaluation, run.folder.label_evaluation_file):
            labels[name] = ranked
    for seed, each in own.items():
        if found := read_if_there(RunEvaluation, each.evaluation_file):
            scored[seed] = {stage.title: stage for stage in found.stages}
    several = list(scored.values()) if len(scored) > 1 else [{}]
    summary = {
        title: summarize([stages[title] for stages in several])
        for title in several[0]
        if all(title in stages for stages in several)
    }
    return PublicRun(path, runs, evaluations, labels, summary, tuple(scored) if summary else ())


def is_local(name: str) -> bool:
    """Whether a recorded name is a path of the machine that the run was made on."""
    return Path(name).is_absolute() or PureWindowsPath(name).is_absolute()


def public_name(name: str) -> str:
    """The name, or the last part of a path."""
    return PureWindowsPath(name).name or "root" if is_local(name) else name


def public_config(config: Config) -> Config:
    """Settings without paths of this machine."""
    paths = {"dataset": config.data.dataset, "text_encoder": config.data.text_encoder}
    paths["frames"] = config.backbone.frames
    return config.replace(**{key: path and public_name(path) for key, path in paths.items()})


def public_model(model: ModelRecord) -> ModelRecord:
    """What localization needs: the final stages, and how the features are made."""
    stages = [stage for stage in model.stages if stage.name in model.finals()]
    features = None if model.features is None else public_features(model.features)
    detector = model.detector
    if detector is not None:
        detector = detector.model_copy(update={"stages": detector.stages[-1:]})
    # `heldout` names training videos.
    text = model.text_encoder and public_name(model.text_encoder)
    kept = {"stages": stages, "detector": detector, "heldout": None, "features": features}
    return model.model_copy(update={**kept, "text_encoder": text})


def public_features(features: Mapping[str, Any]) -> dict[str, Any]:
    """How features were made; a file of weights keeps its name and hash alone."""
    public = dict(features)
    for key, value in features.items():
        if isinstance(value, dict) and "name" in value:
            public[key] = value | {"name": public_name(str(value["name"]))}
    return public
