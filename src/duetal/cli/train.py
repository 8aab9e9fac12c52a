"""`duetal train`: the two branches in turn, from features or videos, to scores and a report."""

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from duetal.cli.extraction_options import extraction_options, reading_options
from duetal.cli.shared_options import PATH, refuse_bad_yaml
from duetal.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightning_fabric import Fabric

    from duetal.config import Config
    from duetal.datasets import Dataset
    from duetal.evaluation import Evaluation
    from duetal.extraction.sources import Failure
    from duetal.results.folder import RunFolder
    from duetal.runs.seeds import Plan


@click.command("train", options_metavar="")
@click.argument("words", nargs=-1, metavar="[RECIPE] [key=value …] --out RUN [OPTIONS]")
@click.option("--out", type=PATH, required=True, help="The run's folder; made new.")
@click.option(
    "--resume", is_flag=True, help="Go on with the run in the folder, or start it if there is none."
)
@click.option(
    "--from",
    "start",
    type=PATH,
    metavar="RUN",
    help="Start from the weights and settings of this finished run, with more data or classes: "
    "dataset=FOLDER, or its own as it is now. Takes the place of a recipe.",
)
@click.option("--seeds", help="Train one run for each of these seeds, such as 0,1,2.")
@click.option(
    "--splits",
    type=click.IntRange(2, 1000),
    metavar="N",
    help="Open vocabulary: train one run for each of N draws of seen_share of the classes, and one "
    "on all of them; the others are found by their words, and the scores averaged.",
)
@click.option(
    "--videos",
    multiple=True,
    metavar="FOLDER",
    help="Train on these videos: a folder, file, list (.txt), pattern or URL; with --labels. "
    "May be given more than once.",
)
@click.option(
    "--labels",
    type=PATH,
    metavar="TABLE",
    help="CSV or TSV with the columns video, labels and, if wanted, split (train, test).",
)
@click.option(
    "--annotations",
    type=PATH,
    help="When the actions are in some of the videos, in any form that duetal evaluate reads: "
    "the run is evaluated on those.",
)
@click.option(
    "--store",
    metavar="STORE",
    help="Where features are kept; used again if there.  [default: RUN/video-dataset]",
)
@extraction_options
@reading_options
def command(
    words: tuple[str, ...],
    out: Path,
    resume: bool,
    start: Path | None,
    seeds: str | None,
    splits: int | None,
    **options: Any,
) -> int:
    """Train the two branches in turn from features, or videos, and video labels.

    RECIPE is a shipped recipe (duetal recipes ls) or a YAML file. Without it, it is auto, which
    chooses by the features and labels what depends on them. key=value changes a setting, such as
    dataset=FOLDER or learning_rate=0.001. Where the segments of test videos are known, every
    stage is evaluated on them and a report is made. The test set chooses nothing.

    With --videos and --labels, features are extracted as by duetal extract (the options from
    --cbp on are its own), a part of the videos is held out unless the table names it, and the
    exit code is 1 when a labelled video could not be used.
    """
    is_named = bool(words) and "=" not in words[0]
    recipe, overrides = (words[0], words[1:]) if is_named else ("auto", words)
    refuse_bad_yaml(Path(recipe), *(Path(word.partition("=")[2]) for word in overrides))

    from duetal.cli.terminal import print_failures
    from duetal.core.errors import UsageError
    from duetal.results.folder import RunFolder
    from duetal.runs.continuing import continued_config
    from duetal.runs.processes import is_first, started_elsewhere
    from duetal.runs.resolving import resolve_config
    from duetal.runs.run import alone_in
    from duetal.runs.seeds import parse_seeds, plan_seeds, plan_splits

    source = click.get_current_context().get_parameter_source
    typed = [name for name in options if source(name) is ParameterSource.COMMANDLINE]
    own = {name: options.pop(name) for name in ("videos", "labels", "annotations", "store")}
    _check_options(own, typed)
    folder = RunFolder(out)
    if own["videos"]:
        if any(override.startswith("dataset=") for override in overrides):
            cause = "--videos makes a dataset, and dataset= names one; give one of the two"
            raise UsageError(cause)
        overrides = (*overrides, f"dataset={folder.dataset}")
    if start is None:
        config = resolve_config(recipe, overrides)
    else:
        if is_named or seeds is not None or splits is not None:
            cause = "--from: takes the settings of the run, so no recipe, --seeds or --splits"
            raise UsageError(cause)
        config = continued_config(start, overrides, folder)
    numbers = None if seeds is None else parse_seeds(seeds)
    if splits is not None and numbers is not None:
        raise UsageError("--seeds and --splits: give one of the two; seed=1 is of all splits")
    failures: tuple[Failure, ...] = ()
    # The other processes of a run are started by the first, when the dataset is there.
    with ExitStack() as held:
        if is_first():
            held.enter_context(alone_in(folder))

        def plan() -> "Plan":
            if splits is not None:
                return plan_splits(folder, config, splits, resume=resume)
            return plan_seeds(folder, config, numbers, resume=resume)

        runs = plan()
        if is_first() and (numbers is not None or splits is not None):
            for run, _ in runs.values():
                held.enter_context(alone_in(run))
            # Again: a run may have ended there in between.
            plan()
        if own["videos"] and started_elsewhere():
            cause = "--videos: of several machines none makes the features for the others; duetal "
            raise UsageError(f"{cause}extract makes them beforehand, and dataset= reads them")
        if own["videos"] and is_first():
            from duetal.cli.train_videos import make_dataset

            begun = any(run.config_file.is_file() for run, _ in runs.values())
            failures = make_dataset(folder, options, **own, typed=typed, begun=begun)
        over = "splits" if splits is not None else "seeds" if numbers is not None else None
        _train(config, runs, folder, over)
        if own["videos"] and is_first():
            first = next(iter(runs.values()))[0].path
            store = own["store"] or folder.dataset
            player = [first, *own["videos"], "--features", store, "--out", folder.path / "player"]
            say(f"to watch what it finds: duetal localize {shlex.join(map(str, player))}")
    print_failures("not used", failures)
    return 1 if failures else 0


def _check_options(own: dict[str, Any], typed: list[str]) -> None:
    """Check that the options of training from videos go together."""
    from duetal.core.errors import UsageError
    from duetal.core.files import is_url

    if not own["videos"]:
        for name in typed:
            raise UsageError(f"--{name.replace('_', '-')}: is for training from --videos")
    elif own["labels"] is None:
        raise UsageError("--videos: needs --labels, a table of what is in each video")
    elif own["store"] is not None and is_url(own["store"]):
        raise UsageError("--store: must be a local folder to train from", file=own["store"])


def _train(config: "Config", runs: "Plan", folder: "RunFolder", over: str | None) -> None:
    """Train, evaluate and report what has been planned; `over` are "seeds" or "splits", if so."""
    from duetal.cli.score_tables import print_seeds, print_unseen
    from duetal.datasets.problems import Problem, raise_fatal
    from duetal.pages import write_report
    from duetal.results.schema import RunEvaluation
    from duetal.runs.class_splits import summarize_unseen, with_seen_classes
    from duetal.runs.growing import as_begun
    from duetal.runs.processes import processes
    from duetal.runs.run_evaluation import help_to_measure
    from duetal.runs.seeds import summarize_seeds
    from duetal.runs.training import open_for_training, train

    def tell(problem: Problem) -> None:
        raise_fatal(problem)
        say(str(problem), err=True)

    first, settings = next(iter(runs.values()))
    whole = first.path if over == "splits" else None
    dataset = open_for_training(settings, report=tell, folder=first)
    # Before any is trained: a share may leave no class unseen.
    parts = {key: with_seen_classes(dataset, own) for key, (_, own) in runs.items() if whole}
    found: dict[int, RunEvaluation] = {}
    unseen = []
    with processes(config.machine) as fabric:
        for key, (own, settings) in runs.items():
            part = parts.get(key, dataset)
            trained = train(fabric, settings, part, own)
            part = as_begun(part, own)
            if not fabric.is_global_zero:
                help_to_measure(own, part, fabric)
                continue
            say(f"{own.path}: {'trained' if trained else 'was trained already'}")
            scores, others = _evaluate(own, part, settings, fabric, whole)
            if isinstance(scores, RunEvaluation) and key is not None:
                found[key] = scores
            unseen += [others] if others else []
            if whole:
                write_report(own.path)
        if not fabric.is_global_zero:
            return
    if over == "seeds" and found:
        for seed in folder.seeds():
            file = folder.of_seed(seed).evaluation_file
            if seed not in found and file.is_file():
                found[seed] = RunEvaluation.read(file)
        print_seeds(summarize_seeds(folder, dict(sorted(found.items()))))
    if over and unseen:
        summary = summarize_unseen(folder, unseen)
        print_unseen(summary, f"mean ± standard deviation over {len(unseen):,} {over}")
    page = folder.path / "*" / "report.html" if whole else write_report(folder.path).path
    say(f"report: {page}")


def _evaluate(
    folder: "RunFolder",
    dataset: "Dataset",
    settings: "Config",
    fabric: "Fabric",
    whole: Path | None,
) -> tuple[Any, "Mapping[str, Evaluation]"]:
    """The scores of a trained run, printed; those of the classes that it was not trained on."""
    from duetal.cli.progress import VideoProgress
    from duetal.cli.score_tables import print_labels, print_run, print_unseen
    from duetal.results.schema import LabelEvaluation, RunEvaluation
    from duetal.runs.class_splits import evaluate_unseen, is_split
    from duetal.runs.run import open_run
    from duetal.runs.run_evaluation import measure

    run = open_run(folder.path)
    with VideoProgress("scorings of a video") as progress:
        scores = measure(run, dataset, fabric, progress)
    if isinstance(scores, RunEvaluation):
        print_run(scores)
    elif isinstance(scores, LabelEvaluation):
        print_labels(scores)
    else:
        say(
            f"{settings.data.dataset}: no video to evaluate on whose actions are known, so "
            f"nothing is measured; the report shows what was found in {len(scores):,} videos"
        )
    if not is_split(settings):
        return scores, {}
    with VideoProgress() as progress:
        every = None if whole is None else open_run(whole)
        unseen = evaluate_unseen(run, fabric.device, progress, every)
    if unseen:
        one = next(iter(unseen.values()))
        counts = f"{one.videos:,} videos with {one.segments:,} segments"
        print_unseen(
            unseen,
            f"{', '.join(one.per_class)}: found by their words, among one another, in {counts}",
        )
    else:
        say("no evaluation video has a segment of an unseen class: those are not measured")
    return scores, unseen
