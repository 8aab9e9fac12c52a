"""`duetal localize`: the actions in videos, or a dataset's, found by a trained run or by words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from duetal.backbones.presets import OPTIONS
from duetal.cli.extraction_options import WEIGHTS, reading_options, take_weights, weights_options
from duetal.cli.shared_options import (
    PATH,
    finite,
    force_option,
    localization_option,
    localization_values,
    refuse_bad_yaml,
)
from duetal.cli.terminal import say

if TYPE_CHECKING:
    from duetal.runs.score_source import Source

NO_RUN = "give a run and what to find actions in; with --classes, no run is needed"
#: The options that are for `--live` alone.
LIVE = ("delay", "history", "speed")
#: The options that are for raw videos alone, beside those of weights.
OF_VIDEOS = ("features", "min_score", "no_copies", "video_stream", "accept_damaged")


@click.command("localize")
@click.argument("places", nargs=-1, metavar="[RUN] INPUTS...")
@click.option(
    "--classes",
    metavar="WORDS",
    help="Find these, trained on or not: names separated by commas, or a text file with one a "
    "line. Several phrasings of one class are separated by |.",
)
@click.option(
    "--text-encoder",
    metavar="MODEL",
    help="With --classes: what reads the words, where the data or the run names nothing that is "
    "there: a folder, a hub name, or a .npy of class embeddings.",
)
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="Of videos: a folder for detections, subtitles and the page. Of a dataset: a JSON file.",
)
@click.option(
    "--live",
    metavar="SOURCE",
    help="Watch this in place of INPUTS, and write what is found as it ends: a file as if live, - "
    "(standard input), a video device, or an address (rtsp://, udp://, http:// for HLS, …).",
)
@click.option(
    "--delay",
    type=float,
    callback=finite,
    help="With --live: seconds after its end by which an action is told.  [default: 4]",
)
@click.option(
    "--history",
    type=float,
    callback=finite,
    help="With --live: seconds that are kept, and seen at once.  [default: 120]",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    callback=finite,
    help="With --live of a file: how fast it plays; 0 as fast as it is looked at.  [default: 1]",
)
@click.option(
    "--branch",
    help="Which branch, such as cbp or vlp, or both for their ensemble.  [default: the first]",
)
@click.option("--stage", help="Another checkpoint than the run's final one, such as cbp-warmup.")
@click.option(
    "--literal", is_flag=True, help="The paper to the letter: one threshold, maximum scoring."
)
@localization_option
@click.option(
    "--accelerator",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    help="Where to compute.",
)
@click.option(
    "--subset",
    type=click.Choice(["train", "test", "all"]),
    help="Of a dataset: which videos; without annotations, test is all of them.  [default: test]",
)
@click.option(
    "--features",
    metavar="STORE",
    help="Of videos: where their features are kept; used again if there.  [default: OUT/features]",
)
@weights_options
@reading_options
@click.option(
    "--min-score",
    type=click.FloatRange(min=0),
    callback=finite,
    help="Of videos: detections below are no subtitles, and hidden on the page at first.  "
    "[default: half the lowest of the videos' top scores]",
)
@click.option(
    "--no-copies",
    is_flag=True,
    help="Of videos: make no copies of those that browsers do not play.",
)
@force_option
def command(
    places: tuple[str, ...],
    classes: str | None,
    text_encoder: str | None,
    out: Path,
    branch: str | None,
    stage: str | None,
    literal: bool,
    settings: tuple[str, ...],
    accelerator: str,
    force: bool,
    live: str | None,
    **options: Any,
) -> int:
    """Find the actions in INPUTS with the trained run RUN: a folder, or hf://OWNER/NAME.

    INPUTS are videos: files, folders, lists (.txt, one a line), patterns and URLs. Their features
    are extracted as those were that the run was trained on, and --out becomes a folder with the
    detections as JSON, CSV and WebVTT, and with index.html, where the videos play over their
    timelines. A video that can't be processed is listed, and the exit code is 1.

    Or INPUTS is one dataset, a folder or a YAML file of features; annotations are not needed.

    Or a source is watched --live: a detection is written when its action has ended.

    With --classes and no RUN nothing is trained: vision-language features are compared with the
    words.
    """
    refuse_bad_yaml(*(Path(place) / "config.yaml" for place in places[:1]), *map(Path, places))

    from duetal.api.by_words import class_phrases
    from duetal.core.errors import UsageError
    from duetal.core.outputs import refuse_existing
    from duetal.core.url_paths import as_path
    from duetal.publishing.hub_runs import is_hub_address
    from duetal.results.folder import RunFolder

    # What is wrong in the call is told before anything is opened.
    phrases = None if classes is None else class_phrases(classes)
    with_run = phrases is None or any(
        is_hub_address(place) or RunFolder(Path(place)).is_run() for place in places[:1]
    )
    if with_run and not places:
        raise UsageError(NO_RUN)
    inputs = places[1:] if with_run else places
    chosen = localization_values(settings, *(["zero_shot"] if phrases else []))
    # After the settings, whose import reports first that PyTorch is missing.
    from duetal.own_videos.raw_videos import is_dataset

    watching = {name: options.pop(name) for name in LIVE}
    if live is not None and inputs:
        raise UsageError("--live: is watched in place of INPUTS", file=inputs[0])
    if live is None and not inputs:
        raise UsageError(NO_RUN)
    if text_encoder is not None and phrases is None:
        raise UsageError("--text-encoder: is for --classes")
    if branch is not None and stage is not None:
        raise UsageError("--branch and --stage: a stage is of one branch, give one of the two")
    for name, value in watching.items():
        if live is None and value is not None:
            raise UsageError(f"--{name}: is for --live")
    dataset = live is None and is_dataset(inputs)
    for name in (*OF_VIDEOS, *OPTIONS, *WEIGHTS.values()) if dataset else ("subset",):
        value = options.pop(name)
        # Not by equality: --min-score 0 is given.
        if value is not None and value is not False:
            kind = "videos" if dataset else "a dataset"
            raise UsageError(f"--{name.replace('_', '-')}: is for {kind}, and INPUTS is not that")
    source = _source(places[0] if with_run else None, phrases, text_encoder, chosen, stage, branch)
    how: dict[str, Any] = {"literal": literal, "accelerator": accelerator}
    if dataset:
        refuse_existing(out, places, force=force)
        _localize_dataset(source, as_path(inputs[0]), out, **how, **options)
        return 0
    if live is not None:
        from duetal.cli.localize_live import localize_live

        for name in ("features", "no_copies", "video_stream", "accept_damaged"):
            if options.pop(name):
                raise UsageError(f"--{name.replace('_', '-')}: is not for --live")
        chosen_times = {name: value for name, value in watching.items() if value is not None}
        lowest = options.pop("min_score")
        weights = take_weights(options)
        return localize_live(
            source, live, out, weights=weights, min_score=lowest, force=force, **how, **chosen_times
        )
    from duetal.cli.localize_videos import localize_raw

    return localize_raw(source, inputs, out, force=force, **how, **options)


def _source(
    place: str | None,
    phrases: Mapping[str, Sequence[str]] | None,
    text_encoder: str | None,
    settings: Mapping[str, Any],
    stage: str | None,
    branch: str | None,
) -> "Source":
    """What is to find the actions: a run, or words alone."""
    from duetal.core.errors import UsageError
    from duetal.publishing.hub_runs import card_text, download_run, is_hub_address
    from duetal.runs.run import open_run
    from duetal.runs.score_source import trained, untrained

    if place is not None:
        path = Path(place)
        if is_hub_address(place):
            path = download_run(place)
            for line in card_text(path):
                say(f"card: {line}")
        return trained(open_run(path), settings, stage or branch, phrases, text_encoder)
    if stage or branch:
        raise UsageError("--branch and --stage: are of a run, and none is given")
    assert phrases is not None
    return untrained(phrases, settings, text_encoder)


def _localize_dataset(
    source: "Source", path: Path, out: Path, *, accelerator: str, subset: str | None, **how: Any
) -> None:
    """Localize the videos of a dataset and write ActivityNet results JSON, in seconds."""
    from duetal.cli.progress import VideoProgress
    from duetal.core.errors import UsageError
    from duetal.datasets import open_dataset
    from duetal.formats.activitynet import write_detections
    from duetal.runs.localizing import choose_videos, limit_notes, localize, unknown_classes
    from duetal.runs.processes import device_of

    dataset = open_dataset(path, choice=source.choice)
    if out.is_dir():
        raise UsageError("--out: is a folder; the detections of a dataset are a file", file=out)
    names = choose_videos(dataset, subset or "test")
    run = source.make(dataset)
    for label in unknown_classes(run, dataset):
        say(f"note: the run was not trained on the class {label!r}")
    device = device_of(accelerator)
    with VideoProgress() as progress:
        detections = localize(
            run,
            dataset,
            names,
            stages=source.stages,
            device=device,
            progress=progress,
            **how,
        )
    write_detections(out, detections)
    say(f"{len(names):,} videos, {len(detections):,} detections: {out}")
    say(f"checkpoint: {run.model.rule(source.stages)}")
    for note in limit_notes(detections, run.config):
        say(f"note: {note}")
