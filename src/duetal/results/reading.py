"""A run's folder as a whole: one seed or several, finished or still training."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from duetal.core.errors import DuetalError
from duetal.core.files import read_json, read_yaml
from duetal.core.records import read_if_there
from duetal.results import schema
from duetal.results.folder import RunFolder
from duetal.results.training_log import TrainingLog, read_training_log

#: Any of these makes a folder a run.
MARKS = (
    "config.yaml",
    "metrics.jsonl",
    "model.json",
    "evaluation.json",
    "label_evaluation.json",
    "summary.json",
)

#: A configuration has tens of settings; more than this is a YAML alias multiplying itself.
MAX_SETTINGS = 500
MAX_DEPTH = 6

Settings = list[tuple[str, str]]


@dataclass(frozen=True)
class SeedResults:
    """One training so far; `labels` instead of an evaluation where no segments are known."""

    folder: RunFolder
    evaluation: schema.RunEvaluation | None
    log: TrainingLog
    labels: schema.LabelEvaluation | None = None
    model: schema.ModelRecord | None = None

    def is_done(self) -> bool:
        """Whether it is evaluated or, where nothing can be measured, localized with every stage."""
        if self.evaluation or self.labels:
            return True
        # It is written when an evaluation begins.
        if self.folder.ground_truth_file.is_file():
            return False
        stages = self.model.evaluated_stages() if self.model else ()
        return bool(stages) and all(self.folder.detections(stage).is_file() for stage in stages)


@dataclass(frozen=True)
class RunResults:
    """A run of one seed or several."""

    folder: Path
    seeds: tuple[SeedResults, ...]  #: The trainings in it.
    summary: schema.SeedSummary | None  #: Mean and standard deviation over several seeds.
    protocol: str  #: Name of the evaluation protocol, "" where not evaluated.
    selection: str  #: The rule that chose the checkpoint, "" before it is written.
    trained_on: str  #: What was learnt from, "" before it is written.
    simulated: bool  #: Whether the scores are of simulated features.
    config: Settings  #: Dotted key and value of every setting.
    environment: Settings  #: Dotted key and value.
    choices: list[tuple[Settings, str]]  #: Settings chosen before training (first seed), and why.
    notices: list[str]  #: Missing or skipped parts, one sentence each.
    unseen: schema.UnseenScores | None = None  #: Of the classes that were not trained on.

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.resolve().name or str(self.folder)

    @property
    def is_unmeasured(self) -> bool:
        """Whether it is finished, and no video was there to evaluate it on."""
        return all(s.is_done() and not (s.evaluation or s.labels) for s in self.seeds)

    def phases(self) -> dict[str, schema.PhaseRecord]:
        """Every phase so far, by name, in order of training."""
        known: dict[str, schema.PhaseRecord] = {}
        for seed in self.seeds:
            of_model = seed.model.phases if seed.model else []
            for phase in (*of_model, *seed.log.phases.values()):
                known.setdefault(phase.name, phase)
        return known

    def branches(self) -> dict[str, str]:
        """Title by name of every branch so far, in the order of tables."""
        known: dict[str, str] = {}
        for seed in self.seeds:
            known |= seed.model.titles() if seed.model else {}
            evaluation = seed.evaluation or seed.labels
            stages: Sequence[schema.NamedStage] = evaluation.stages if evaluation else ()
            for stage in stages:
                known.setdefault(stage.branch, stage.branch.upper())
        for phase in self.phases().values():
            for name in filter(None, (phase.student, phase.teacher)):
                known.setdefault(name, name.upper())
        known.pop(schema.ENSEMBLE, None)
        return known


def read_run(folder: Path) -> RunResults:
    """Read everything of a run but its videos.

    Raises:
        DuetalError: the folder is no run, or a file in it is damaged.
    """
    if not folder.is_dir():
        raise DuetalError("no such run folder", file=folder)
    run = RunFolder(folder)
    seed_folders = [path for seed in run.seeds() if _is_run(path := run.of_seed(seed).path)]
    if not seed_folders and not _is_run(folder):
        raise DuetalError(f"not a run: has none of {', '.join(MARKS)}", file=folder)
    seeds = tuple(_read_seed(RunFolder(path)) for path in seed_folders or [folder])
    summary = read_if_there(schema.SeedSummary, run.summary_file)
    evaluation = next((seed.evaluation for seed in seeds if seed.evaluation), None)
    sources = [summary, evaluation, *(seed.model for seed in seeds)]
    selections = [source.selection for source in sources if source is not None]
    return RunResults(
        folder=folder,
        seeds=seeds,
        summary=summary,
        protocol=next((source.protocol for source in (summary, evaluation) if source), ""),
        selection=next(filter(None, selections), ""),
        trained_on=next((s.trained_on for s in sources if s and s.trained_on), ""),
        simulated=any(source.simulated for source in (summary, evaluation) if source),
        config=_settings([folder, *seed_folders], "config.yaml"),
        environment=_settings([folder, *seed_folders], "environment.json"),
        choices=_choices([folder, *seed_folders]),
        notices=list(_notices(seeds, summary)),
        unseen=read_if_there(schema.UnseenScores, run.unseen_file),
    )


def _is_run(folder: Path) -> bool:
    return any((folder / mark).is_file() for mark in MARKS)


def _read_seed(folder: RunFolder) -> SeedResults:
    return SeedResults(
        folder,
        read_if_there(schema.RunEvaluation, folder.evaluation_file),
        read_training_log(folder.metrics_file),
        read_if_there(schema.LabelEvaluation, folder.label_evaluation_file),
        read_if_there(schema.ModelRecord, folder.model_file),
    )


def _notices(seeds: tuple[SeedResults, ...], summary: schema.SeedSummary | None) -> Iterator[str]:
    for seed in seeds:
        for notice in seed.log.notices:
            yield f"{seed.folder.path.name}: {notice}" if len(seeds) > 1 else notice
    unfinished = [seed.folder.path.name for seed in seeds if not seed.is_done()]
    if len(seeds) == 1 and unfinished:
        doing = "training" if seeds[0].model is None else "being evaluated"
        yield f"There is no evaluation yet: the run is still {doing}, or it was stopped."
    elif unfinished:
        yield f"Not evaluated yet: {', '.join(unfinished)}."
    if len(seeds) > 1 and summary is None and any(seed.evaluation for seed in seeds):
        yield "There is no summary over the seeds yet: the table shows the first evaluated seed."


def _settings(folders: Sequence[Path], name: str) -> Settings:
    """Dotted keys and printable values of the first YAML or JSON file of a name; [] for none."""
    path = next((folder / name for folder in folders if (folder / name).exists()), None)
    if path is None:
        return []
    content = read_json(path) if path.suffix == ".json" else read_yaml(path)
    settings = list(islice(flat_values(content), MAX_SETTINGS + 1))
    if len(settings) > MAX_SETTINGS:
        settings[-1] = ("…", f"only the first {MAX_SETTINGS} settings are shown")
    return settings


def _choices(folders: Sequence[Path]) -> list[tuple[Settings, str]]:
    """What the first folder that has a file of choices tells."""
    files = (read_if_there(schema.ChoiceFile, RunFolder(path).choices_file) for path in folders)
    choices = next((file.choices for file in files if file), [])
    return [(list(flat_values(choice.values)), choice.reason) for choice in choices]


def flat_values(value: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Dotted keys and printable values of nested mappings; long lists and texts are cut."""
    if isinstance(value, Mapping) and value and depth < MAX_DEPTH:
        for name, inner in value.items():
            yield from flat_values(inner, f"{key}.{name}" if key else str(name), depth + 1)
    elif isinstance(value, list) and depth < MAX_DEPTH:
        simple = [item for item in value[:MAX_DEPTH] if not isinstance(item, Mapping | list)]
        shown = ", ".join(map(str, simple))
        yield key, shown if len(simple) == len(value) else f"{shown} … ({len(value)} in all)"
    else:
        yield key, str(value)[:1000]
