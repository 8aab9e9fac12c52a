"""`duetal probe`: how strong each stream of a dataset is, from labels alone, before training."""

from pathlib import Path

import click

from duetal.cli.shared_options import PATH
from duetal.cli.terminal import say


@click.command("probe")
@click.argument("dataset", type=PATH)
@click.option("--text-encoder", help="The CLIP folder or hub name, where the dataset names none.")
def command(dataset: Path, text_encoder: str | None) -> int:
    """Tell before training how strong each stream of DATASET is, and what to expect.

    It reads training features and video labels alone, a sample of a large dataset, and takes
    seconds to minutes: linear classifiers rank training videos that they were not trained on.
    """
    from lightning_fabric import Fabric

    from duetal.backbones.class_embeddings import load_text
    from duetal.runs.resolving import resolve_config
    from duetal.runs.training import open_for_training, training_videos
    from duetal.tuning import probe

    given = [f"data.dataset={dataset}", *([f"text_encoder={text_encoder}"] if text_encoder else [])]
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
    return 0
