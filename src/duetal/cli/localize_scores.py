"""`duetal localize-scores`: the actions in scores per snippet that any model gave."""

from pathlib import Path

import click

from duetal.cli.shared_options import PATH, finite, localization_option, localization_values, writes
from duetal.cli.terminal import say


@click.command("localize-scores")
@click.argument("scores", type=PATH)
@click.option(
    "--classes",
    required=True,
    metavar="NAMES",
    help="The classes in the order of the columns: a text file with one a line, or their names "
    "separated by commas.",
)
@click.option(
    "--fps",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    required=True,
    help="Frames per second that the snippets were counted in.",
)
@click.option(
    "--stride",
    type=click.IntRange(min=1),
    required=True,
    help="Frames from one snippet's start to the next one's.",
)
@click.option(
    "--window",
    type=click.IntRange(min=1),
    help="Frames that a snippet sees.  [default: --stride]",
)
@click.option("--out", type=PATH, required=True, help="The JSON file of the detections.")
@click.option(
    "--scores",
    "kind",
    type=click.Choice(["probabilities", "logits"]),
    help="What the scores are.  [default: logits, where any is outside 0..1]",
)
@click.option(
    "--offset",
    type=float,
    callback=finite,
    default=0.0,
    help="Seconds at which the first snippet begins.",
)
@click.option(
    "--topk-ratio",
    type=click.IntRange(min=1),
    default=8,
    help="A video's probability of a class is pooled over this part of its snippets, the best.",
)
@localization_option
@writes("out")
def command(
    scores: Path,
    classes: str,
    fps: float,
    stride: int,
    window: int | None,
    out: Path,
    kind: str | None,
    offset: float,
    topk_ratio: int,
    settings: tuple[str, ...],
) -> None:
    """Find the actions in SCORES, which any model gave, as duetal localize finds them in its own.

    SCORES is an .npz file with an array (T, K) per video, of each class at each snippet, or a
    folder with a <video>.npy per video. --out becomes ActivityNet results JSON, in seconds.
    """
    from duetal.api.given_scores import localize_scores
    from duetal.cli.progress import VideoProgress
    from duetal.core.errors import UsageError
    from duetal.formats.activitynet import write_detections

    if out.is_dir():
        raise UsageError("--out: is a folder; the detections are a file", file=out)
    chosen = localization_values(settings)
    with VideoProgress() as progress:
        detections = localize_scores(
            scores,
            classes,
            fps=fps,
            stride=stride,
            window=window,
            kind=kind,  # type: ignore[arg-type]
            offset=offset,
            topk_ratio=topk_ratio,
            settings=chosen,
            progress=progress,
        )
    write_detections(out, detections)
    say(f"{len(detections.videos):,} videos, {len(detections):,} detections: {out}")
    hint = " (--scores decides otherwise)" if kind is None else ""
    say(f"the scores are taken for {detections.external_data['scores']}{hint}")
    if limited := detections.external_data["limited_videos"]:
        say(f"note: in {limited:,} videos more was found than is kept (--set max_per_minute=none)")
