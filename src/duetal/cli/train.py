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
    from duetal.config import Config
    from duetal.extraction.sources import Failure
    from duetal.results.folder import RunFolder
    from duetal.runs.seeds import Plan


@click.command("train", options_metavar="")
@click.argument("words", nargs=-1, metavar="[RECIPE] [key=value …] --out RUN [OPTIONS]")
@click.option("--out", type=PATH, required=True, help="The run's folder; made new.")
@click.option(
    "--resume", is_flag=True, help="Go on with the run in the folder, or start it if there is none."
)
@click.option("--seeds", help="Train one run for each of these seeds, such as 0,1,2.")
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
    seeds: str | None,
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
    from duetal.runs.processes import is_first
    from duetal.runs.resolving import resolve_config
    from duetal.runs.run import alone_in
    from duetal.runs.seeds import parse_seeds, plan_seeds

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
    config = resolve_config(recipe, overrides)
    numbers = None if seeds is None else parse_seeds(seeds)
    failures: tuple[Failure, ...] = ()
    # The other processes of a run are started by the first, when the dataset is there.
    with ExitStack() as held:
        if is_first():
            held.enter_context(alone_in(folder))
        runs = plan_seeds(folder, config, numbers, resume=resume)
        if numbers is not None and is_first():
            for run, _ in runs.values():
                held.enter_context(alone_in(run))
            # Again: a run may have ended there in between.
            plan_seeds(folder, config, numbers, resume=resume)
        if own["videos"] and is_first():
            from duetal.cli.train_videos import make_dataset

            begun = any(run.config_file.is_file() for run, _ in runs.values())
            failures = make_dataset(folder, options, **own, typed=typed, begun=begun)
        _train(config, runs, folder, several=seeds is not None)
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


def _train(config: "Config", runs: "Plan", folder: "RunFolder", *, several: bool) -> None:
    """Train, evaluate and report what has been planned."""
    from duetal.cli.progress import VideoProgress
    from duetal.cli.score_tables import print_labels, print_run, print_seeds, print_unseen
    from duetal.datasets.problems import Problem, raise_fatal
    from duetal.pages import write_report
    from duetal.results.schema import LabelEvaluation, RunEvaluation
    from duetal.runs.class_splits import evaluate_unseen, is_split
    from duetal.runs.processes import processes
    from duetal.runs.run import open_run
    from duetal.runs.run_evaluation import measure
    from duetal.runs.seeds import summarize_seeds
    from duetal.runs.training import open_for_training, train

    def tell(problem: Problem) -> None:
        raise_fatal(problem)
        say(str(problem), err=True)

    dataset = open_for_training(config, report=tell)
    found: dict[int, RunEvaluation] = {}
    with processes(config.machine) as fabric:
        for seed, (own, settings) in runs.items():
            trained = train(fabric, settings, dataset, own)
            if not fabric.is_global_zero:
                continue
            say(f"{own.path}: {'trained' if trained else 'was trained already'}")
            run = open_run(own.path)
            with VideoProgress("scorings of a video") as progress:
                scores = measure(run, dataset, fabric.device, progress)
            if isinstance(scores, RunEvaluation):
                print_run(scores)
                found[seed] = scores
            elif isinstance(scores, LabelEvaluation):
                print_labels(scores)
            else:
                say(
                    f"{config.data.dataset}: no video to evaluate on whose actions are known, so "
                    "nothing is measured; the report shows what was found in "
                    f"{len(scores):,} videos"
                )
            if is_split(settings):
                with VideoProgress() as progress:
                    unseen = evaluate_unseen(run, fabric.device, progress)
                print_unseen(unseen)
        if not fabric.is_global_zero:
            return
    if several and found:
        for seed in folder.seeds():
            file = folder.of_seed(seed).evaluation_file
            if seed not in found and file.is_file():
                found[seed] = RunEvaluation.read(file)
        print_seeds(summarize_seeds(folder, dict(sorted(found.items()))))
    say(f"report: {write_report(folder.path).path}")
