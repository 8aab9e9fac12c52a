"""Open a run folder: one seed or several, finished or still training."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from duetal.core.errors import DuetalError
from duetal.core.files import read_json
from duetal.report.records import (
    EvaluationFile,
    LabelEvaluationFile,
    ModelFile,
    SummaryFile,
    read_record,
)
from duetal.report.training_log import TrainingLog, read_training_log

#: Any of these makes a folder a run.
MARKS = ("config.yaml", "metrics.jsonl", "model.json", "evaluation.json", "summary.json")

#: A configuration has tens of settings; more than this is a YAML alias multiplying itself.
MAX_SETTINGS = 500
MAX_DEPTH = 6

Settings = list[tuple[str, str]]


@dataclass(frozen=True)
class SeedRun:
    """One training: its folder, and what is known of it so far."""

    folder: Path
    evaluation: EvaluationFile | None
    log: TrainingLog
    #: In place of an evaluation, where no segment is known to evaluate against.
    labels: LabelEvaluationFile | None = None


@dataclass(frozen=True)
class RunFolder:
    """A run as the report reads it.

    Args:
        folder: the run folder.
        seeds: the trainings in it; a run of one seed is its own and only entry.
        summary: mean and deviation over seeds, of a run of several.
        protocol: name of the evaluation protocol, "" where not evaluated.
        selection: text of the rule that chose the checkpoint, "" where not written yet.
        simulated: whether the scores are of simulated features.
        config: dotted key and value of every setting.
        environment: dotted key and value.
        notices: what is missing or was left out, one sentence each.
    """

    folder: Path
    seeds: tuple[SeedRun, ...]
    summary: SummaryFile | None
    protocol: str
    selection: str
    simulated: bool
    config: Settings
    environment: Settings
    notices: list[str]

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.resolve().name or str(self.folder)


def open_run(folder: Path) -> RunFolder:
    """Read everything of a run but its videos.

    Raises:
        DuetalError: the folder is no run, or a file in it is damaged.
    """
    if not folder.is_dir():
        raise DuetalError("no such run folder", file=folder)
    seed_folders = _seed_folders(folder)
    if not seed_folders and not _is_run(folder):
        raise DuetalError(f"not a run: has none of {', '.join(MARKS)}", file=folder)
    seeds = tuple(_open_seed(path) for path in seed_folders or [folder])
    summary = read_record(SummaryFile, folder / "summary.json")
    evaluation = next((seed.evaluation for seed in seeds if seed.evaluation), None)
    models = (read_record(ModelFile, path / "model.json") for path in (folder, *seed_folders))
    selections = [getattr(source, "selection", "") for source in (summary, evaluation, *models)]
    return RunFolder(
        folder=folder,
        seeds=seeds,
        summary=summary,
        protocol=(summary or evaluation or EvaluationFile()).protocol,
        selection=next(filter(None, selections), ""),
        simulated=any(source.simulated for source in (summary, evaluation) if source),
        config=_settings(_first(folder, seed_folders, "config.yaml")),
        environment=_settings(_first(folder, seed_folders, "environment.json")),
        notices=list(_notices(seeds, summary)),
    )


def _is_run(folder: Path) -> bool:
    return any((folder / mark).is_file() for mark in MARKS)


def _seed_folders(folder: Path) -> list[Path]:
    numbered = [
        (int(match[1]), path)
        for path in folder.iterdir()
        if (match := re.fullmatch(r"seed-(\d+)", path.name)) and path.is_dir() and _is_run(path)
    ]
    return [path for _, path in sorted(numbered)]


def _open_seed(folder: Path) -> SeedRun:
    return SeedRun(
        folder,
        read_record(EvaluationFile, folder / "evaluation.json"),
        read_training_log(folder / "metrics.jsonl"),
        read_record(LabelEvaluationFile, folder / "label_evaluation.json"),
    )


def _first(folder: Path, seed_folders: list[Path], name: str) -> Path:
    candidates = [folder / name, *(seed / name for seed in seed_folders)]
    return next((path for path in candidates if path.exists()), candidates[0])


def _notices(seeds: tuple[SeedRun, ...], summary: SummaryFile | None) -> Iterator[str]:
    for seed in seeds:
        for notice in seed.log.notices:
            yield f"{seed.folder.name}: {notice}" if len(seeds) > 1 else notice
    unfinished = [s.folder.name for s in seeds if s.evaluation is None and s.labels is None]
    if len(seeds) == 1 and unfinished:
        yield "There is no evaluation yet: the run is still training, or it was stopped."
    elif unfinished:
        yield f"Not evaluated yet: {', '.join(unfinished)}."
    if len(seeds) > 1 and summary is None and any(seed.evaluation for seed in seeds):
        yield "There is no summary over the seeds yet: the table shows the first evaluated seed."


def _settings(path: Path) -> Settings:
    """Dotted keys and printable values of a YAML or JSON file; empty where there is none."""
    if not path.exists():
        return []
    settings: Settings = []
    for item in _flatten(_load(path), "", 0):
        if len(settings) == MAX_SETTINGS:
            settings.append(("…", f"only the first {MAX_SETTINGS} settings are shown"))
            break
        settings.append(item)
    return settings


def _load(path: Path) -> Any:
    if path.suffix == ".json":
        return read_json(path)
    try:
        return yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=path) from error
    except yaml.MarkedYAMLError as error:
        place = None if error.problem_mark is None else f"line {error.problem_mark.line + 1}"
        raise DuetalError(f"not YAML: {error.problem}", file=path, place=place) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DuetalError(f"not YAML: {error}", file=path) from error


def _flatten(value: Any, key: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value and depth < MAX_DEPTH:
        for name, inner in value.items():
            yield from _flatten(inner, f"{key}.{name}" if key else str(name), depth + 1)
    elif isinstance(value, list) and depth < MAX_DEPTH:
        simple = [item for item in value[:MAX_DEPTH] if not isinstance(item, Mapping | list)]
        shown = ", ".join(map(str, simple))
        yield key, shown if len(simple) == len(value) else f"{shown} … ({len(value)} in all)"
    else:
        yield key, str(value)[:1000]
