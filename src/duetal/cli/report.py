"""`duetal report`: one HTML page of runs and detections."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from duetal.cli.shared_options import PATH, comparing_options

if TYPE_CHECKING:
    from duetal.pages import Written


@click.command("report")
@click.argument("sources", nargs=-1, required=True, type=PATH)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The HTML file.  [default: RUN/report.html, or beside one file of detections; "
    "several sources need it]",
)
@click.option("--title", default="", show_default=False, help="Of the page.")
@comparing_options
def command(
    sources: tuple[Path, ...],
    out: Path | None,
    title: str,
    annotations_path: Path | None,
    protocol_name: str | None,
    subset: str | None,
    stage: str | None,
) -> None:
    """Make one self-contained HTML page of SOURCES: run folders, files of detections, or both.

    Of one run: scores of all stages, training curves, pseudo-labels, and every video to explore;
    a run that is still training gives a partial page, and --annotations also shows where the
    actions are in training videos. Of several, or of detections: their scores and differences, and
    their predictions above one another. The page needs no network.
    """
    from duetal.cli.progress import StepProgress
    from duetal.core.errors import UsageError
    from duetal.formats import read_annotations
    from duetal.pages import PageEntry, write_contenders, write_report
    from duetal.runs.comparing import common_ground, open_contenders

    if len(sources) == 1 and not sources[0].is_file():
        if protocol_name or subset or stage:
            cause = "one run is shown as it was evaluated, with all its stages: "
            cause += "--protocol, --subset and --stage are for several, or for detections"
            raise UsageError(cause)
        with StepProgress() as progress:
            further = None if annotations_path is None else read_annotations(annotations_path)
            page = write_report(sources[0], out, further, title=title, progress=progress)
        _print(page)
        return
    if out is None and len(sources) > 1:
        raise UsageError("a page of several sources needs --out")
    target = out or sources[0].with_suffix(".html")
    with StepProgress() as progress:
        progress("reading the detections")
        opened = open_contenders(sources, stage)
        annotations, protocol = common_ground(opened, annotations_path, protocol_name)
        entries = [
            PageEntry(
                each.contender.name,
                each.contender.runs,
                None if each.folder is None else each.folder.path,
                str(each.contender.runs[0].external_data.get("selection") or ""),
            )
            for each in opened
        ]
        page = write_contenders(
            entries,
            annotations,
            protocol,
            target,
            subset,
            title=title,
            files=[path for path in sources if path.is_file()],
            progress=progress,
        )
    _print(page)


def _print(page: "Written") -> None:
    click.echo(page.path)
    if page.left_out:
        click.echo(f"note: {page.left_out.strip()}")
