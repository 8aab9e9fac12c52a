"""A run of several seeds: the same settings trained again and again, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from duetal.config import Config
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import write_json
from duetal.evaluation import Summary, summarize
from duetal.runs.evaluate import RunEvaluation
from duetal.runs.folder import RunFolder, check_begin
from duetal.runs.processes import is_first

#: A run's folder and its settings, by its seed.
Plan = dict[int, tuple[RunFolder, Config]]


def plan_one(folder: RunFolder, config: Config, *, resume: bool) -> Plan:
    """The plan to train one seed, checked against what lies in the folder; nothing is written.

    Raises:
        DuetalError: see `duetal.runs.folder.check_begin`.
    """
    if is_first():
        check_begin(folder, config, resume=resume)
    return {config.seed: (folder, config)}


def plan_several(folder: RunFolder, config: Config, seeds: Sequence[int], *, resume: bool) -> Plan:
    """The plan to train several seeds in `folder/seed-N`, checked likewise.

    Raises:
        DuetalError: the folder holds something else, or seeds that are not to be resumed.
        UsageError: a seed there was trained with other settings.
    """
    plan = {
        seed: (folder.of_seed(seed), config.model_copy(update={"seed": seed}))
        for seed in (*seeds, *folder.seeds())
    }
    if not is_first():
        return {seed: plan[seed] for seed in seeds}
    if folder.config_file.is_file():
        raise DuetalError("holds a run of one seed, and --seeds was given", file=folder.path)
    if not folder.seeds():
        check_begin(folder, config, resume=resume)
    for own, settings in plan.values():
        check_begin(own, settings, resume=resume)
    return {seed: plan[seed] for seed in seeds}


def parse_seeds(text: str) -> list[int]:
    """Read "0,1,2".

    Raises:
        UsageError: not whole numbers from 0 on, or one of them twice.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise UsageError(f"--seeds: whole numbers joined by commas, not {text!r}")
    seeds = [int(word) for word in words]
    if len(set(seeds)) != len(seeds):
        raise UsageError(f"--seeds: a seed is named twice in {text!r}")
    return seeds


@dataclass(frozen=True)
class SeedSummary:
    """Scores over several seeds.

    Args:
        seeds: what was averaged over.
        protocol: its name.
        selection: the rule that chose the final checkpoints.
        simulated: whether the features are simulated.
        stages: the stage's name, title and scores, in order of training.
    """

    seeds: tuple[int, ...]
    protocol: str
    selection: str
    simulated: bool
    stages: tuple[tuple[str, str, Summary], ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "seeds": list(self.seeds),
            "protocol": self.protocol,
            "selection": self.selection,
            "simulated": self.simulated,
            "stages": [
                {"stage": stage, "title": title, **summary.to_json()}
                for stage, title, summary in self.stages
            ],
        }


def summarize_seeds(folder: RunFolder, evaluations: Mapping[int, RunEvaluation]) -> SeedSummary:
    """Average the evaluations of several seeds stage by stage, and write `summary.json`."""
    first = next(iter(evaluations.values()))
    stages = [
        (one.stage, one.title, summarize([e.stages[row].evaluation for e in evaluations.values()]))
        for row, one in enumerate(first.stages)
    ]
    summary = SeedSummary(
        tuple(evaluations), first.protocol, first.selection, first.simulated, tuple(stages)
    )
    write_json(folder.path / "summary.json", summary.to_json())
    return summary
