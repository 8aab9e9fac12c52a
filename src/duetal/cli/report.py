"""`duetal report`: one HTML page of runs and detections."""

from pathlib import Path

import click

from duetal.cli.shared_options import (
    PATH,
    comparing_options,
    force_option,
    is_own_page,
    refuse_existing,
)


@click.command("report")
@click.argument("sources", nargs=-1, required=True, type=PATH)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The HTML file.  [default: RUN/report.html, or beside one file of detections; "
    "several sources need it]",
)
@comparing_options
@force_option
def command(
    sources: tuple[Path, ...],
    out: Path | None,
    annotations_path: Path | None,
    protocol_name: str | None,
    subset: str | None,
    match_names: bool,
    stage: str | None,
    force: bool,
) -> None:
    """Make one self-contained HTML page of SOURCES: run folders, files of detections, or both.

    Of one run: scores of all stages, training curves, pseudo-labels, and every video to explore;
    a run that is still training gives a partial page, and --annotations also shows where the
    actions are in training videos. Of several, or of detections: their scores and differences, and
    their predictions above one another. The page needs no network.
    """
    from duetal.cli.progress import VideoProgress
    from duetal.core.errors import UsageError
    from duetal.evaluation.considered import with_matched_names
    from duetal.formats import read_annotations
    from duetal.report import PageEntry, write_contenders, write_report
    from duetal.runs.comparing import common_ground, open_contenders

    if len(sources) == 1 and not sources[0].is_file():
        if protocol_name or subset or stage or match_names:
            cause = "one run is shown as it was evaluated, with all its stages: --match-names, "
            cause += "--protocol, --subset and --stage are for several, or for detections"
            raise UsageError(cause)
        page = out or sources[0] / "report.html"
        refuse_existing(page, sources, force=force or (out is None and is_own_page(page)))
        further = None if annotations_path is None else read_annotations(annotations_path)
        click.echo(write_report(sources[0], out, further))
        return
    if out is None and len(sources) > 1:
        raise UsageError("a page of several sources needs --out")
    target = out or sources[0].with_suffix(".html")
    refuse_existing(target, sources, force=force or (out is None and is_own_page(target)))
    with VideoProgress("steps", to_error=True) as progress:
        opened = open_contenders(sources, stage, progress)
        annotations, protocol = common_ground(opened, annotations_path, protocol_name)
        entries = [
            PageEntry(
                each.contender.name,
                tuple(
                    with_matched_names(run, annotations, protocol) if match_names else run
                    for run in each.contender.runs
                ),
                None if each.folder is None else each.folder.path,
                str(each.contender.runs[0].external_data.get("selection") or ""),
            )
            for each in opened
        ]
        page = write_contenders(entries, annotations, protocol, target, subset, progress)
    click.echo(page)
