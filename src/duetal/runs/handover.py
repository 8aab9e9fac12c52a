"""A trained run as it is handed on: what others need of it, without what is private.

What is left out: logs, the environment, ground truth, detections, pseudo-labels, checkpoints that
localization does not use, and names of videos. A path of this machine is reduced to its last part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from duetal.config import Config
from duetal.evaluation import Summary, summarize
from duetal.results.folder import RunFolder
from duetal.results.schema import RunEvaluation
from duetal.runs.label_evaluation import LabelEvaluation
from duetal.runs.model_record import ModelRecord
from duetal.runs.run import Run, open_run


@dataclass(frozen=True)
class Handover:
    """A trained run, or one of several seeds.

    Args:
        path: the folder that was named.
        runs: one of each seed, by where it lies within the folder: "" for a single run.
        evaluations: the scores of those that have any, likewise.
        labels: how well those tell labels that have no segments to be scored against, likewise.
        summary: mean and deviation of every stage over the seeds, by title; of a single run that is
            one of several seeds, over all of those. Empty where there is a single seed.
        seeds: what the summary is over.
    """

    path: Path
    runs: Mapping[str, Run]
    evaluations: Mapping[str, RunEvaluation]
    labels: Mapping[str, LabelEvaluation]
    summary: Mapping[str, Summary]
    seeds: tuple[int, ...]

    @property
    def first(self) -> Run:
        """One of the runs: they differ in their seeds, and in what those did."""
        return next(iter(self.runs.values()))

    @property
    def evaluation(self) -> RunEvaluation | None:
        """The scores of one of them."""
        return next(iter(self.evaluations.values()), None)


def open_handover(path: Path) -> Handover:
    """Open a trained run, or all seeds of one of several.

    Raises:
        DuetalError: no run, one that is not trained to its end, or damaged.
    """
    folder = RunFolder(path)
    seeds = folder.seeds()
    if seeds and not folder.config_file.is_file():
        runs = {own.path.name: open_run(own.path) for own in map(folder.of_seed, seeds)}
        siblings = folder
    else:
        runs = {"": open_run(path)}
        siblings = RunFolder(path.absolute().parent)
    evaluations = _evaluations({place: run.folder for place, run in runs.items()})
    labels = {
        place: LabelEvaluation.read(run.folder.label_evaluation_file)
        for place, run in runs.items()
        if run.folder.label_evaluation_file.is_file()
    }
    over = _evaluations({own.path.name: own for own in map(siblings.of_seed, siblings.seeds())})
    if "" in runs and path.absolute().name not in over:
        over = {}
    summary = _summarize(over) if len(over) > 1 else {}
    names = tuple(int(place.removeprefix("seed-")) for place in over) if summary else ()
    return Handover(path, runs, evaluations, labels, summary, names)


def _evaluations(folders: Mapping[str, RunFolder]) -> dict[str, RunEvaluation]:
    return {
        place: RunEvaluation.read(folder.evaluation_file)
        for place, folder in folders.items()
        if folder.evaluation_file.is_file()
    }


def _summarize(evaluations: Mapping[str, RunEvaluation]) -> dict[str, Summary]:
    """Of every stage that all seeds have."""
    by_title = [{s.title: s.evaluation for s in e.stages} for e in evaluations.values()]
    return {
        title: summarize([stages[title] for stages in by_title])
        for title in by_title[0]
        if all(title in stages for stages in by_title)
    }


def final_stages(model: ModelRecord) -> list[str]:
    """The checkpoints that localization uses: of CBP, and of VLP where there is one."""
    return [stage for stage in (model.final.cbp, model.final.vlp) if stage is not None]


def is_local(name: str) -> bool:
    """Whether a name that a run has recorded is a path of the machine that it was made on."""
    return Path(name).is_absolute() or PureWindowsPath(name).is_absolute()


def public_name(name: str) -> str:
    """A name as others may know it: of a path its last part."""
    return PureWindowsPath(name).name or "root" if is_local(name) else name


def public_config(config: Config) -> Config:
    """Settings without paths of this machine."""
    places = {
        "dataset": public_name(config.dataset),
        "text_encoder": public_name(config.text_encoder),
    }
    return config.model_copy(update=places)


def public_model(model: ModelRecord) -> ModelRecord:
    """What is needed to localize: the final stages, and how features are to be made."""
    return model.model_copy(
        update={
            "stages": final_stages(model),
            # It names training videos.
            "heldout": None,
            "features": None if model.features is None else public_features(model.features),
        }
    )


def public_features(features: Mapping[str, Any]) -> dict[str, Any]:
    """How features were made, with the networks' weights named by file and hash alone."""
    return {
        key: value | {"name": public_name(str(value["name"]))}
        if isinstance(value, dict) and "name" in value
        else value
        for key, value in features.items()
    }


def mean_ap_on_heldout(model: ModelRecord) -> dict[str, float]:
    """Video-level mAP on held-out training videos, of every stage; empty where none was asked."""
    return {} if model.heldout is None else dict(model.heldout.mean_ap)
