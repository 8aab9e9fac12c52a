"""`duetal report`: one HTML page of runs and detections."""

from pathlib import Path
from typing import Any

import click

from duetal.cli.shared_options import (
    PATH,
    comparing_options,
    force_option,
    is_own_page,
    splits_option,
)
from duetal.cli.terminal import say


@click.command("report")
@click.argument("sources", nargs=-1, type=PATH)
@splits_option
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
    splits: Path | None,
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
    their predictions above one another. The page needs no network. With --splits: a page beside the
    detections of each split, detections.html.
    """
    from duetal.api import report
    from duetal.api.splits import DETECTIONS, TRUTH, split_folders
    from duetal.core.errors import UsageError
    from duetal.core.outputs import refuse_existing

    if bool(sources) == (splits is not None):
        raise UsageError("give SOURCES, or --splits alone")
    if splits is not None:
        if out is not None or annotations_path is not None:
            raise UsageError("--splits: each split has its own page and annotations")
        how: dict[str, Any] = {
            "protocol": protocol_name or "seconds",
            "subset": subset,
            "match_names": match_names,
        }
        pages = [(part / DETECTIONS).with_suffix(".html") for part in split_folders(splits)]
        for page in pages:
            refuse_existing(page, (), force=force or is_own_page(page), own=True)
        for page in pages:
            named = title or f"split {page.parent.name}"
            found, truth = page.parent / DETECTIONS, page.parent / TRUTH
            say(report(found, page, annotations=truth, title=named, **how).path)
        return

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
        made = report(
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
    say(made.path)
    if made.left_out:
        say(f"note: {made.left_out.strip()}")
