"""Several runs of the same settings: of some seeds, or of some splits of the classes."""

from collections.abc import Mapping, Sequence

from duetal.config import Config
from duetal.core.errors import DuetalError, UsageError
from duetal.evaluation import summarize
from duetal.results.folder import RunFolder
from duetal.results.schema import RunEvaluation, SeedSummary, StageSummary
from duetal.runs.processes import is_first
from duetal.runs.run import check_begin

#: A run's folder and its settings, by its seed or split; None: of all classes.
Plan = dict[int | None, tuple[RunFolder, Config]]


def plan_seeds(
    folder: RunFolder, config: Config, seeds: Sequence[int] | None, *, resume: bool
) -> Plan:
    """The plan to train one seed in a folder, or several in `folder/seed-N`; nothing is written.

    It is checked against the content of the folder; `resume`: runs that are there may go on.
    Without `seeds` that of the settings is trained.

    Raises:
        DuetalError: the folder holds something else, or runs that are not to be resumed.
        UsageError: a run there was begun with other settings.
    """
    if seeds is None:
        if is_first():
            check_begin(folder, config, resume=resume)
        return {config.schedule.seed: (folder, config)}
    plan: Plan = {
        seed: (folder.of_seed(seed), config.replace(seed=seed))
        for seed in (*seeds, *folder.seeds())
    }
    if is_first():
        if folder.config_file.is_file():
            raise DuetalError("holds a run of one seed, and --seeds was given", file=folder.path)
        if not folder.seeds():
            check_begin(folder, config, resume=resume)
        for own, settings in plan.values():
            check_begin(own, settings, resume=resume)
    return {seed: plan[seed] for seed in seeds}


def plan_splits(folder: RunFolder, config: Config, count: int, *, resume: bool) -> Plan:
    """The plan to train on all classes, and then on each of `count` splits; nothing is written.

    Raises:
        DuetalError: the folder holds something else, or runs that are not to be resumed.
        UsageError: no share of the classes to be seen, or a run there with other settings.
    """
    if config.data.seen_share is None:
        raise UsageError("--splits: draws classes to train on; seen_share= says how many, as 0.75")
    plan: Plan = {None: (folder.of_split(None), config.replace(seen_share=None, class_split=0))}
    for split in range(count):
        plan[split] = folder.of_split(split), config.replace(class_split=split)
    if is_first():
        if not any(own.path.is_dir() for own, _ in plan.values()):
            check_begin(folder, config, resume=resume)
        for own, settings in plan.values():
            check_begin(own, settings, resume=resume)
    return plan


def parse_seeds(text: str) -> list[int]:
    """Read "0,1,2"; a UsageError unless these are whole numbers from 0 on, each once."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError(f"--seeds: whole numbers joined by commas, not {text!r}")
    seeds = [int(part) for part in parts]
    if len(set(seeds)) != len(seeds):
        raise UsageError(f"--seeds: a seed is named twice in {text!r}")
    return seeds


def summarize_seeds(folder: RunFolder, evaluations: Mapping[int, RunEvaluation]) -> SeedSummary:
    """Average the evaluations of several seeds stage by stage, and write `summary.json`."""
    first = next(iter(evaluations.values()))
    stages = []
    for row, one in enumerate(first.stages):
        summary = summarize([evaluation.stages[row] for evaluation in evaluations.values()])
        names = {"stage": one.stage, "title": one.title, "branch": one.branch}
        stages.append(StageSummary.model_validate({**names, **dict(summary)}))
    result = SeedSummary(
        protocol=first.protocol,
        selection=first.selection,
        trained_on=first.trained_on,
        simulated=first.simulated,
        seeds=list(evaluations),
        stages=stages,
    )
    result.write(folder.summary_file)
    return result
