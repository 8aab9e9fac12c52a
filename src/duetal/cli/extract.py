"""`duetal extract`: I3D and CLIP features of videos, into a store that the other commands read."""

from typing import TYPE_CHECKING, Any

import click

from duetal.cli.cluster_extraction import CLUSTER_OPTIONS, cluster_options
from duetal.cli.extraction_options import extraction_options

if TYPE_CHECKING:
    from duetal.extraction.missing import Plan
    from duetal.extraction.sources import Failure, Found


@click.command("extract")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEOS...")
@click.option(
    "--out",
    required=True,
    metavar="STORE",
    help="The feature store: a folder, or a URL such as s3://bucket/store; made if missing.",
)
@extraction_options
@cluster_options
@click.option("--retry-failed", is_flag=True, help="Try those videos again that failed before.")
def command(videos: tuple[str, ...], out: str, retry_failed: bool, **options: Any) -> int:
    """Extract I3D and CLIP features of VIDEOS into a store.

    VIDEOS are files, folders (searched through), lists (.txt, one a line), patterns and URLs. What
    the store has is kept, so an interrupted extraction is gone on with by the same command. A video
    that can't be extracted is listed at the end, with the reason, and the exit code is 1.
    """
    from duetal.cli.cluster_extraction import extract_on_cluster, require_no_cluster
    from duetal.cli.extraction_options import print_failures
    from duetal.extraction.sources import find_videos

    cluster = {name: options.pop(name) for name in CLUSTER_OPTIONS}
    found = find_videos(videos)
    if cluster["cluster"] is not None:
        planned, failures = extract_on_cluster(
            found, out, options, cluster, retry_failed=retry_failed
        )
    else:
        require_no_cluster(cluster)
        planned, failures = _extract_here(found, out, options, retry_failed=retry_failed)
    known_before = len(planned.unusable) + len(planned.failures)
    counts = {
        "extracted": len(planned.todo) - (len(failures) - known_before),
        "there already": len(planned.complete),
        "failed": len(failures),
        "failed before": len(planned.failed_before),
    }
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    click.echo(f"{told}: {out}")
    print_failures("failed", failures)
    print_failures("failed before (--retry-failed tries again)", planned.failed_before)
    return 1 if failures or planned.failed_before else 0


def _extract_here(
    found: "Found", out: str, options: dict[str, Any], *, retry_failed: bool
) -> "tuple[Plan, tuple[Failure, ...]]":
    """Bring a store up to the videos that were found, on this machine."""
    from duetal.cli.extraction_options import extract_with_progress, make_extractor
    from duetal.extraction.missing import plan
    from duetal.extraction.store import open_store

    extractor = make_extractor(options)
    with open_store(out, extractor.store_settings) as store:
        planned = plan(found, store, retry_failed=retry_failed)
        return planned, extract_with_progress(planned, store, extractor)
