"""`duetal probe`: how strong each stream of a dataset is, from labels alone, before training."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from duetal.cli.shared_options import PATH
from duetal.cli.terminal import say

if TYPE_CHECKING:
    from duetal.config import Config


@click.command("probe")
@click.argument("dataset", type=PATH)
@click.option("--cbp", help="Which features CBP reads, of a store of several backbones.")
@click.option("--vlp", help="Which features VLP reads, likewise.")
@click.option("--text-encoder", help="The CLIP folder or hub name, where the dataset names none.")
def command(dataset: Path, cbp: str | None, vlp: str | None, text_encoder: str | None) -> int:
    """Tell before training how strong each stream of DATASET is, and what to expect.

    It reads training features and video labels alone, a sample of a large dataset, and takes
    seconds to minutes: linear classifiers rank training videos that they were not trained on.
    Of a store of several backbones it also tells what each reaches, and what its network costs.
    """
    from lightning_fabric import Fabric

    from duetal.backbones.class_embeddings import load_text
    from duetal.runs.resolving import resolve_config
    from duetal.runs.training import open_for_training, training_videos
    from duetal.tuning import probe

    options = {"data.cbp": cbp, "data.vlp": vlp, "text_encoder": text_encoder}
    given = [f"data.dataset={dataset}", *(f"{key}={one}" for key, one in options.items() if one)]
    config = resolve_config("auto", given)
    videos, _ = training_videos(config, open_for_training(config))
    found = probe(Fabric(accelerator="cpu", devices=1), config, videos, load_text)
    say(
        f"{found.videos:,} training videos, {len(found.classes)} classes, "
        f"{videos.labels.sum(axis=1).mean():.1f} labels and {found.snippets:,} snippets a video"
    )
    say("mean AP (%) of training videos ranked by class, by classifiers that did not see them:")
    width = max(map(len, (*found.strength, "chance, at most")))
    for title, ap in (*found.strength.items(), ("chance, at most", found.chance)):
        say(f"  {title:<{width}}  {100 * ap:5.1f}")
    say("share of a video that a class fills where it occurs:")
    for label, share in zip(found.classes, found.shares, strict=True):
        say(f"  {label}  {share:.0%}")
    for line in found.expectation():
        say(line)
    _print_backbones(dataset, config)
    return 0


def _print_backbones(dataset: Path, config: "Config") -> None:
    """What each backbone of a store of several reaches alone, and what it costs."""
    from duetal.backbones.presets import GFLOPS
    from duetal.datasets.layouts import stream_names
    from duetal.extraction.networks import core_seconds
    from duetal.runs.training import open_for_training, training_videos
    from duetal.tuning.probing import linear_strength

    names = stream_names(dataset)
    if len(names) < 3:
        return
    say("each backbone of the store alone, linear, and core-seconds of its network for an hour:")
    width = max(map(len, names))
    for name in names:
        alone = config.replace(cbp=name, branches=("cbp",))
        videos, _ = training_videos(alone, open_for_training(alone))
        cost = f"  {core_seconds(name):>9,.0f}" if name in GFLOPS else ""
        say(f"  {name:<{width}}  {100 * linear_strength(alone, videos):5.1f}{cost}")
