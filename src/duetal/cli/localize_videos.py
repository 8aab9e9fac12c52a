"""`duetal localize` of raw videos: features, detections, and the page on which they are watched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from duetal.cli.extraction_options import extract_with_progress, take_reading, take_weights
from duetal.cli.progress import VideoProgress
from duetal.cli.shared_options import is_own_page
from duetal.cli.terminal import print_failures, say
from duetal.core.errors import DuetalError, UsageError
from duetal.core.outputs import refuse_existing
from duetal.extraction.sources import Failure, Video
from duetal.extraction.store import Store, open_store
from duetal.formats.conversion import formula_notes
from duetal.localization.non_overlapping import keep_non_overlapping, score_floor
from duetal.localization.proposals import assemble
from duetal.own_videos.raw_videos import UNVERIFIABLE, prepare_videos
from duetal.own_videos.result_folder import FEATURES, MEDIA, PAGE, WRITTEN, show, write_results
from duetal.own_videos.video_features import local_store, open_features
from duetal.pages.player import PlayedVideo, PlayerPage, embed
from duetal.results.schema import ENSEMBLE
from duetal.runs.localizing import limit_notes, localize
from duetal.runs.processes import device_of
from duetal.runs.run import Run
from duetal.runs.score_source import Source
from duetal.runs.stage_scoring import Localized
from duetal.runs.zero_shot_run import STAGE, UNTRAINED


def localize_raw(
    source: Source,
    inputs: Sequence[str],
    out: Path,
    *,
    literal: bool,
    accelerator: str,
    force: bool,
    features: str | None,
    min_score: float | None,
    no_copies: bool,
    **options: Any,
) -> int:
    """Extract what is missing, localize, and write all forms of the result.

    The arguments are the command's options, and `source` what they name. The exit code is 1 where a
    video could not be processed, or not be copied.
    """
    if out.exists() and not out.is_dir():
        raise UsageError("--out: is a file; the results of videos are a folder", file=out)
    if not is_own_page(out / PAGE) and not (out / FEATURES).exists():
        for name in WRITTEN:
            refuse_existing(out / name, force=force)
    store = local_store(features) if features else out / FEATURES
    if source.run is not None and source.run.model.features is None:
        say(f"note: {UNVERIFIABLE}")
    videos, failures = prepare_videos(
        source,
        inputs,
        store,
        take_weights(options),
        accelerator=accelerator,
        without=out / MEDIA,
        extract=extract_with_progress,
        **take_reading(options),
    )
    if not videos:
        print_failures("failed", failures)
        raise DuetalError("none of the videos could be processed", file=out)
    dataset, stages = open_features(source.run, store), source.stages
    run = source.make(dataset)
    page = VideoPage(run, out, open_store(store), videos, copies=not no_copies)
    with VideoProgress() as progress:
        detections = localize(
            run,
            dataset,
            list(videos),
            stages=stages,
            literal=literal,
            device=device_of(accelerator),
            on_video=page.add,
            progress=progress,
        )
    floor = score_floor(detections) if min_score is None else min_score
    write_results(out, detections, floor=floor)
    page.write(stages, failures, floor)
    say(f"{len(videos):,} videos, {len(detections):,} detections: {out / PAGE}")
    say(f"checkpoint: {run.model.rule(stages)}")
    for note in (*limit_notes(detections, run.config), *formula_notes(detections)):
        say(f"note: {note}")
    print_failures("failed", failures)
    print_failures("not copied for the page", page.uncopied)
    return 1 if failures or page.uncopied else 0


@dataclass
class VideoPage:
    """The page of a folder of results, to which videos are added as they are localized."""

    run: Run
    folder: Path
    store: Store
    videos: Mapping[str, Video]
    #: Whether videos that browsers do not play are copied.
    copies: bool
    #: Videos that could not be copied, and why.
    uncopied: list[Failure] = field(default_factory=list)
    _embedded: list[dict[str, Any]] = field(default_factory=list)

    def add(self, localized: Localized) -> None:
        """Add a video, copying it where that is needed to play it."""
        video = self.videos[localized.name]
        record = self.store.record(video.name)
        assert record is not None, "the video has been localized from the store"
        fps = self.run.model.grid.fps
        shown = show(self.folder, video, fingerprint=record.sha256, fps=fps, copies=self.copies)
        if shown.failure:
            failure = Failure(name=video.name, source=video.source, reason=shown.failure)
            self.uncopied.append(failure)
        found = assemble([localized.detections], [video.name], self.run.model.classes)
        curves = localized.scores.branches
        played = PlayedVideo(
            video.name,
            record.duration,
            shown.url,
            begin=record.offset,
            offset=shown.offset,
            rate=fps if shown.is_copy else record.rate or fps,
            note=shown.note,
            curves=curves,
        )
        self._embedded.append(embed(played, found, keep_non_overlapping(found)))

    def write(self, stages: list[str], failures: Sequence[Failure], floor: float) -> None:
        """Write the page; detections of a score below `floor` are hidden at first."""
        model, store = self.run.model, self.store
        weights = [f"{m}: {Path(store.settings[m]['name']).name}" for m in store.modalities]
        title = f"{' and '.join(stages)} of {self.run.folder.path.absolute().name}"
        rule = "Checkpoint chosen by"
        if stages == [STAGE]:
            rule = "Training"
            title = f"words alone ({UNTRAINED.partition(':')[0]})"
        elif model.features is None:
            weights.append("whether these are what the run was trained on cannot be verified")
        PlayerPage(
            title=title,
            branch=model.stage(stages[0]).branch if len(stages) == 1 else ENSEMBLE,
            facts={
                rule: model.rule(stages),
                "Classes": ", ".join(model.classes),
                "Features": "; ".join(weights),
            },
            files=["detections.json", "detections.csv"],
            failures=[(failure.name, failure.reason) for failure in failures],
            floor=floor,
            grid=model.grid,
            branches=model.titles(),
        ).write(self.folder / PAGE, model.classes, self._embedded)
