"""`duetal extract --cluster`: its options, and what becomes of them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from duetal.core.errors import UsageError

if TYPE_CHECKING:
    from duetal.extraction.missing import Plan
    from duetal.extraction.sources import Failure, Found

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Extract on a Ray cluster: auto (the one this machine is part of), HOST:PORT, "
        "ray://HOST:PORT, or local (a new one, of this machine alone).",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="With --cluster: workers to start.  [default: one for each GPU, or what fits]",
    ),
    click.option(
        "--cpus-per-worker",
        type=click.IntRange(min=1),
        help="With --cluster: CPU cores of a worker.  [default: 4; a GPU's share]",
    ),
)
#: What the options are called as arguments.
CLUSTER_OPTIONS = ("cluster", "workers", "cpus_per_worker")


def cluster_options(command: Command) -> Command:
    """Give a command the options of a cluster; `extract_on_cluster` takes their values."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def require_no_cluster(cluster: dict[str, Any]) -> None:
    """Refuse options that mean nothing on one machine.

    Raises:
        UsageError: one is given.
    """
    for name, value in cluster.items():
        if value is not None:
            raise UsageError(f"--{name.replace('_', '-')}: only goes with --cluster")


def extract_on_cluster(
    found: "Found",
    out: str,
    options: dict[str, Any],
    cluster: dict[str, Any],
    *,
    retry_failed: bool,
) -> "tuple[Plan, tuple[Failure, ...]]":
    """Bring a store up to the videos that were found; as `plan` and `extract_missing` do.

    Args:
        found: the videos.
        out: the store.
        options: values of `extraction_options`.
        cluster: values of `cluster_options`.
        retry_failed: try those again that failed before.
    """
    from duetal.cli.extraction_options import extract_with_progress, read_options
    from duetal.cli.progress import ClusterProgress
    from duetal.cli.terminal import printable
    from duetal.extraction.cluster import Cluster
    from duetal.extraction.missing import plan
    from duetal.extraction.store import open_store

    settings, computing = read_options(options)

    def notify(line: str) -> None:
        click.echo(f"note: {printable(line)}", err=True)

    how = {name: value for name, value in cluster.items() if name != "cluster"}
    with (
        Cluster(cluster["cluster"], settings, **how, **computing, notify=notify) as crew,
        open_store(out, crew.store_settings) as store,
    ):
        planned = plan(found, store, retry_failed=retry_failed).longest_first()
        failures = extract_with_progress(
            planned, store, crew, lambda sizes: ClusterProgress(sizes, lambda: len(crew.processes))
        )
        return planned, failures
