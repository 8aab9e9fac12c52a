"""`duetal extract`: features of videos, into a store that the other commands read."""

from contextlib import ExitStack
from typing import Any

import click

from duetal.cli.extraction_options import extraction_options, reading_options
from duetal.cli.terminal import say


@click.command("extract")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEOS...")
@click.option(
    "--out",
    required=True,
    metavar="STORE",
    help="The feature store: a folder, or a URL such as s3://bucket/store; made if missing.",
)
@extraction_options
@reading_options
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Extract on a Ray cluster: auto (the one this machine is part of), HOST:PORT, "
    "ray://HOST:PORT, or local (a new one, of this machine alone).",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="With --cluster: workers to start.  [default: one for each GPU, or what fits]",
)
@click.option(
    "--cpus-per-worker",
    type=click.IntRange(min=1),
    help="With --cluster: CPU cores of a worker.  [default: 4; a GPU's share]",
)
@click.option("--retry-failed", is_flag=True, help="Try those videos again that failed before.")
def command(
    videos: tuple[str, ...], out: str, retry_failed: bool, cluster: str | None, **options: Any
) -> int:
    """Extract features of VIDEOS into a store: I3D's and CLIP's, or those of other backbones.

    VIDEOS are files, folders (searched through), lists (.txt, one a line), patterns and URLs. What
    the store has is kept, so the same command continues an interrupted extraction. A video that
    can't be extracted is listed at the end, with the reason, and the exit code is 1.
    """
    from duetal.cli.extraction_options import (
        extract_with_progress,
        make_extractor,
        read_options,
        take_reading,
    )
    from duetal.cli.terminal import print_failures
    from duetal.core.errors import UsageError
    from duetal.extraction.cluster import Cluster
    from duetal.extraction.missing import plan
    from duetal.extraction.pipeline import Extractor
    from duetal.extraction.sources import find_videos
    from duetal.extraction.store import open_store

    found = find_videos(videos, **take_reading(options))
    crew = {name: options.pop(name) for name in ("workers", "cpus_per_worker")}
    for name, value in crew.items():
        if cluster is None and value is not None:
            raise UsageError(f"--{name.replace('_', '-')}: only goes with --cluster")

    def notify(line: str) -> None:
        say(f"note: {line}", err=True)

    with ExitStack() as stack:
        extractor: Extractor | Cluster
        if cluster is None:
            extractor = make_extractor(options)
        else:
            settings, computing = read_options(options)
            extractor = Cluster(cluster, settings, **crew, **computing, notify=notify)
            stack.enter_context(extractor)
        store = stack.enter_context(open_store(out, extractor.store_settings))
        planned = plan(found, store, retry_failed=retry_failed)
        if cluster is not None:
            planned = planned.longest_first()
        failures = extract_with_progress(planned, store, extractor)
    known_before = len(planned.unusable) + len(planned.failures)
    counts = {
        "extracted": len(planned.todo) - (len(failures) - known_before),
        "there already": len(planned.complete),
        "failed": len(failures),
        "failed before": len(planned.failed_before),
    }
    summary = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    say(f"{summary}: {out}")
    print_failures("failed", failures)
    print_failures("failed before (--retry-failed tries again)", planned.failed_before)
    return 1 if failures or planned.failed_before else 0
