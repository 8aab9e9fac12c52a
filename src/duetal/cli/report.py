"""`duetal report`: one HTML page of runs and detections."""

from pathlib import Path

import click

from duetal.cli.shared_options import (
    PATH,
    comparing_options,
    force_option,
    is_own_page,
)
from duetal.cli.terminal import say


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
@force_option
def command(
    sources: tuple[Path, ...],
    out: Path | None,
    title: str,
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
    from duetal.api import report
    from duetal.core.outputs import refuse_existing

    default = sources[0] / "report.html"
    if sources[0].is_file():
        default = sources[0].with_suffix(".html")
    if len(sources) == 1 or out is not None:
        target = out or default
        read = sources if annotations_path is None else (*sources, annotations_path)
        own = is_own_page(target)
        refuse_existing(
            target,
            read,
            force=force or (out is None and own),
            own=own or target.absolute() == default.absolute(),
        )
    from duetal.cli.progress import StepProgress

    with StepProgress() as progress:
        page = report(
            sources,
            out,
            annotations=annotations_path,
            protocol=protocol_name,
            subset=subset,
            stage=stage,
            title=title,
            match_names=match_names,
            progress=progress,
        )
    say(page.path)
    if page.left_out:
        say(f"note: {page.left_out.strip()}")
