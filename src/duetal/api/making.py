"""Training, extraction, conversion and pages, as the commands of these names."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from duetal.api.trained_run import PathLike, TrainedRun, load, several, warn
from duetal.core.errors import UsageError, unknown
from duetal.core.extras import naming_extras
from duetal.core.url_paths import as_path
from duetal.formats import conversion, read_annotations
from duetal.formats.conversion import Conversion
from duetal.formats.forms import ContentKind, Format
from duetal.formats.options import FormatOptions

# Whatever needs PyTorch is imported by the functions that use it.
if TYPE_CHECKING:
    from duetal.pages import Written
    from duetal.runs.localizing import Progress

#: What `extract` takes as settings.
_EXTRACTION = ("flow", "short_side", "crop", "dtype", "crops", "fps", "stride", "window",
               "bf16")  # fmt: skip


@naming_extras()
def train(
    recipe: PathLike,
    out: PathLike,
    *,
    dataset: PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: "Progress" = lambda what, done, total: None,
) -> TrainedRun:
    """Train a run on a dataset, evaluate it and write its report, as `duetal train` for one seed.

    Args:
        recipe: the name of a shipped recipe, or a YAML file.
        out: the run's folder; made new.
        dataset: the dataset; by default the recipe names it.
        settings: others than the recipe's, such as `{"learning_rate": 1e-3, "seed": 1}`.
        resume: go on with the run in the folder, or start it if there is none.
        progress: called during the evaluation; see `TrainedRun.localize`.

    Returns:
        The run; `evaluation` has its scores, where the dataset's test videos have segments.

    Raises:
        UsageError: an unknown recipe or setting, or no dataset.
        DuetalError: the folder holds something else, or the dataset can't be trained on.
    """
    from duetal.pages import write_report
    from duetal.results.folder import RunFolder
    from duetal.runs.class_splits import evaluate_unseen, is_split
    from duetal.runs.growing import as_begun
    from duetal.runs.processes import processes
    from duetal.runs.resolving import resolve_config
    from duetal.runs.run import open_run
    from duetal.runs.run_evaluation import help_to_measure, measure
    from duetal.runs.seeds import plan_seeds
    from duetal.runs.training import open_for_training
    from duetal.runs.training import train as train_run

    chosen = dict(settings or {}) | ({} if dataset is None else {"dataset": os.fspath(dataset)})
    words = [f"{name}={_typed(value)}" for name, value in chosen.items()]
    config = resolve_config(os.fspath(recipe), words)
    folder = RunFolder(Path(out))
    plan_seeds(folder, config, None, resume=resume)
    opened = open_for_training(config, folder=folder)
    with processes(config.machine) as fabric:
        train_run(fabric, config, opened, folder)
        if fabric.is_global_zero:
            run = open_run(folder.path)
            measure(run, as_begun(opened, folder), fabric, progress)
            if is_split(config):
                evaluate_unseen(run, fabric.device, progress)
            write_report(folder.path)
        else:
            help_to_measure(folder, opened, fabric)
    return load(folder.path)


@naming_extras()
def extract(
    videos: PathLike | Sequence[PathLike],
    store: PathLike,
    *,
    cbp: PathLike | Sequence[PathLike] = (),
    vlp: PathLike | Sequence[PathLike] = (),
    weights: Mapping[str, PathLike] | None = None,
    without: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
) -> tuple[str, ...]:
    """Extract features of videos into a store, as `duetal extract`; what it has is kept.

    A video that can't be extracted is a `DuetalWarning`.

    Args:
        videos: a file, a folder, a list (.txt), a pattern, a URL, or several of these.
        store: a folder or a URL; made if missing.
        cbp: backbones for CBP, as `--cbp`: short names, hub names, folders.
        vlp: backbones for VLP, likewise.
        weights: by the name of the features (`rgb`, `flow`, `clip`), others than the usual ones.
        without: names of features to leave out.
        settings: `flow`, `short_side`, `crop`, `dtype`, `crops`, `fps`, `stride`, `window` and
            `bf16`, as the command's options.
        device: where to compute: "auto", "cpu", "cuda" or "cuda:N".

    Returns:
        The names of the videos that have features now.

    Raises:
        UsageError: an unknown name or impossible value, or a store of other settings.
        DuetalError: no video there, or the store can't be written.
    """
    from duetal.backbones import BACKBONES
    from duetal.backbones.presets import choose_all
    from duetal.extraction.extraction_settings import ExtractionSettings
    from duetal.extraction.missing import extract_missing, plan
    from duetal.extraction.pipeline import Extractor
    from duetal.extraction.sources import find_videos
    from duetal.extraction.store import open_store

    known = [record.name for record in BACKBONES]
    for place, names in (("weights", weights or {}), ("without", without)):
        for name in names:
            if name not in known:
                raise UsageError(unknown("modality", name, known), place=place)
    for name in settings or {}:
        if name not in _EXTRACTION:
            raise UsageError(unknown("setting", name, _EXTRACTION), place="settings")
    sources = {name: os.fspath(source) for name, source in (weights or {}).items()}
    given = {"cbp": several(cbp), "vlp": several(vlp)}
    named = {branch: [os.fspath(one) for one in names] for branch, names in given.items()}
    backbones = [one for one in choose_all(named, sources) if one.name not in without]
    chosen = ExtractionSettings.usual(backbones, weights=sources, **(settings or {}))
    found = find_videos([os.fspath(path) for path in several(videos)])
    extractor = Extractor(chosen, device=device)
    with open_store(os.fspath(store), extractor.store_settings) as opened:
        planned = plan(found, opened, retry_failed=True)
        failures = extract_missing(planned, opened, extractor)
        for failure in failures:
            warn(f"left out: {failure.reason}", depth=4)
        failed = {failure.name for failure in failures}
        names = [video.name for video in (*planned.complete, *planned.todo)]
        return tuple(name for name in names if name not in failed)


def convert(
    source: PathLike,
    target: PathLike,
    *,
    source_format: str | None = None,
    target_format: str | None = None,
    kind: Literal["annotations", "detections"] | None = None,
    subset: str | None = None,
    min_score: float | None = None,
    force: bool = False,
    **options: Any,
) -> Conversion:
    """Convert annotations or detections from one form to another, as `duetal convert`.

    Args:
        source: a file or folder of any known form.
        target: a file or folder that is not there, unless `force`.
        source_format: its form, such as "elan"; guessed from its content otherwise.
        target_format: the form to write; by the target's suffix otherwise.
        kind: what to read of a form that may hold both.
        subset: of the videos whose source names none.
        min_score: detections below are left out.
        force: replace a target that is a file.
        options: `fps`, `media_root`, `media_suffix` and `tier`, as the command's.

    Returns:
        What was written; `lines` say what the target could not hold.

    Raises:
        UsageError: an unknown form or option, or one that is missing; the target is there.
        DuetalError: the source is malformed, or the target can't hold it.
    """
    known = [field.name for field in fields(FormatOptions)]
    for name in options:
        if name not in known:
            raise UsageError(unknown("option", name, known))
    return conversion.convert(
        as_path(source),
        Path(target),
        source_format=_format(source_format),
        target_format=_format(target_format),
        kind=None if kind is None else ContentKind(kind),
        options=FormatOptions(**options),
        subset=subset,
        min_score=min_score,
        force=force,
    )


def report(
    sources: PathLike | Sequence[PathLike],
    out: PathLike | None = None,
    *,
    annotations: PathLike | None = None,
    protocol: str | None = None,
    subset: str | None = None,
    stage: str | None = None,
    title: str = "",
    match_names: bool = False,
    progress: Callable[[str], object] = lambda what: None,
) -> "Written":
    """Write one HTML page of run folders, files of detections, or both, as `duetal report`.

    Args:
        sources: one or several.
        out: the HTML file; by default `RUN/report.html`, or beside one file of detections.
        annotations: what detections are judged by; of one run, segments of its training videos.
        protocol: of several sources, or of detections.
        subset: likewise.
        stage: of several runs, the one whose detections are shown; the last by default.
        title: of the page.
        match_names: of several sources, or of detections; see `evaluate`.
        progress: called with what is being done.

    Returns:
        `path`, and `left_out`: what the page had no room for, in a sentence or none.

    Raises:
        UsageError: arguments that do not go together.
        DuetalError: not a run, unreadable, or the page can't be written.
    """
    from duetal.evaluation.considered import with_matched_names
    from duetal.pages import PageEntry, write_contenders, write_report
    from duetal.runs.comparing import common_ground, open_contenders

    paths = [Path(path) for path in several(sources)]
    target = None if out is None else Path(out)
    truth = None if annotations is None else as_path(annotations)
    if len(paths) == 1 and not paths[0].is_file():
        if protocol or subset or stage or match_names:
            cause = "one run is shown as it was evaluated, with all its stages: --match-names, "
            cause += "--protocol, --subset and --stage are for several, or for detections"
            raise UsageError(cause)
        further = None if truth is None else read_annotations(truth)
        return write_report(paths[0], target, further, title=title, progress=progress)
    if target is None and len(paths) > 1:
        raise UsageError("a page of several sources needs --out")
    progress("reading the detections")
    opened = open_contenders(paths, stage)
    known, rules = common_ground(opened, truth, protocol)
    entries = [
        PageEntry(
            each.contender.name,
            tuple(
                with_matched_names(run, known, rules) if match_names else run
                for run in each.contender.runs
            ),
            None if each.folder is None else each.folder.path,
            str(each.contender.runs[0].external_data.get("selection") or ""),
        )
        for each in opened
    ]
    return write_contenders(
        entries,
        known,
        rules,
        target or paths[0].with_suffix(".html"),
        subset,
        title=title,
        files=[path for path in paths if path.is_file()],
        progress=progress,
    )


def _typed(value: Any) -> str:
    """A setting's value as it is typed on the command line."""
    if value is None or isinstance(value, str | os.PathLike):
        return "" if value is None else os.fspath(value)
    # JSON is YAML, as which all but text is read.
    return json.dumps(value)


def _format(name: str | None) -> Format | None:
    if name is not None and name not in list(Format):
        raise UsageError(unknown("form", name, [form.value for form in Format]))
    return None if name is None else Format(name)
