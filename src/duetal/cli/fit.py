"""`duetal fit`: CLIP features made as long as those of a dataset, and put beside them."""

from pathlib import Path

import click

from duetal.cli.shared_options import PATH
from duetal.cli.terminal import say


@click.command("fit")
@click.argument("features", type=PATH)
@click.argument("dataset", type=PATH)
@click.option("--most", type=click.IntRange(0), default=2, help="Rows by which they may differ.")
@click.option("--force", is_flag=True, help="Replace features that are there.")
def command(features: Path, dataset: Path, most: int, force: bool) -> None:
    """Put CLIP FEATURES into DATASET/features/clip, with as many rows as DATASET's own features.

    FEATURES is a store of duetal extract, or a folder or file of CLIP features; DATASET may have
    any layout, the BaS-Net and the W-TALC pack too. A missing last row is repeated, and rows too
    many are left out.
    """
    from duetal.datasets.fitting import fit_features

    done = fit_features(features, dataset, most=most, force=force)
    say(
        f"{done.folder}: {done.videos:,} videos; {done.longer:,} with the last row repeated, "
        f"{done.shorter:,} with rows left out"
    )
    if done.missing:
        first = repr(done.missing[0])
        say(f"without CLIP features: {len(done.missing):,} videos, {first} the first")
