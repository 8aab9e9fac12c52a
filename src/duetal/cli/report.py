"""`duetal report`: one HTML page of a run."""

from pathlib import Path

import click


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the page.  [default: RUN/report.html]",
)
def command(run: Path, out: Path | None) -> None:
    """Make one self-contained HTML page of the run folder RUN.

    Scores of all stages, training curves, pseudo-labels and a timeline of every video. A run that
    is still training gives a page of what there is. The page needs no network.
    """
    from duetal.report import write_report

    click.echo(write_report(run, out))
