"""`duetal extract`: features of videos, into a store that the other commands read."""

import re
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
@click.option(
    "--part",
    metavar="I/N",
    callback=lambda context, parameter, value: _part(value),
    help="Extract part I of N of the videos, such as 3/16: one for each task of a job array.",
)
@click.option("--retry-failed", is_flag=True, help="Try those videos again that failed before.")
@click.option(
    "--attempts",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Failed attempts after which a video is set aside.",
)
@click.option(
    "--retry-set-aside", is_flag=True, help="Try those again too that have been set aside."
)
@click.option(
    "--manifest",
    is_flag=True,
    help="Write STORE/manifest.parquet: what has become of each video.",
)
def command(
    videos: tuple[str, ...],
    out: str,
    cluster: str | None,
    part: tuple[int, int] | None,
    retry_failed: bool,
    attempts: int,
    retry_set_aside: bool,
    manifest: bool,
    **options: Any,
) -> int:
    """Extract features of VIDEOS into a store: I3D's and CLIP's, or those of other backbones.

    VIDEOS are files, folders (searched through), lists (.txt, one a line), manifests (.parquet),
    patterns and URLs. What the store has is kept, so the same command continues an interrupted
    extraction. A video that can't be extracted is listed at the end, with the reason, and the exit
    code is 1.
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
    from duetal.extraction.manifest import MANIFEST_FILE, require_parquet, write_manifest
    from duetal.extraction.missing import manifest_rows, plan
    from duetal.extraction.pipeline import Extractor
    from duetal.extraction.sources import find_videos
    from duetal.extraction.store import FAILURES, open_store

    if manifest:
        require_parquet()
    found = find_videos(videos, **take_reading(options))
    if part is not None:
        found = found.part(*part)
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
        planned = plan(
            found,
            store,
            retry_failed=retry_failed or retry_set_aside,
            attempts=None if retry_set_aside else attempts,
        )
        if cluster is not None:
            planned = planned.longest_first()
        failures = extract_with_progress(planned, store, extractor)
        if manifest:
            write_manifest(store.place, manifest_rows(store, planned, attempts))
    known_before = len(planned.unusable) + len(planned.failures)
    counts = {
        "extracted": len(planned.todo) - (len(failures) - known_before),
        "there already": len(planned.complete),
        "failed": len(failures),
        "failed before": len(planned.failed_before),
        "set aside": len(planned.set_aside),
    }
    summary = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    say(f"{summary or 'no video in this part'}: {out}")
    if manifest:
        say(f"manifest: {out.rstrip('/')}/{MANIFEST_FILE}")
    print_failures("failed", failures)
    print_failures("failed before (--retry-failed tries again)", planned.failed_before)
    where = f"set aside after {attempts} attempts, in {FAILURES}/ there (--retry-set-aside)"
    print_failures(where, planned.set_aside)
    return 1 if failures or planned.failed_before or planned.set_aside else 0


def _part(text: str | None) -> tuple[int, int] | None:
    """The numbers of `--part`."""
    if text is None:
        return None
    number, _, parts = text.partition("/")
    # In ASCII: `int` reads other digits, and signs.
    if re.fullmatch("[0-9]{1,9}/[0-9]{1,9}", text) and 1 <= int(number) <= int(parts):
        return int(number), int(parts)
    raise click.BadParameter(f"{text!r} is not I/N with I from 1 to N, such as 3/16")
