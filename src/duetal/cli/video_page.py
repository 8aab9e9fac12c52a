"""The page of localized raw videos; the report itself knows neither runs nor stores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from duetal.extraction.sources import Failure, Video
from duetal.extraction.store import open_store
from duetal.localization.non_overlapping import keep_non_overlapping
from duetal.localization.proposals import assemble
from duetal.own_videos.result_folder import ResultFolder, show
from duetal.report.player import PlayedVideo, PlayerPage, embed
from duetal.results.schema import ENSEMBLE
from duetal.runs.localizing import Localized
from duetal.runs.run import Run


class VideoPage:
    """The page of a folder of results, to which videos are added as they are localized.

    Args:
        run: what localizes them.
        folder: where the page will lie.
        store: where the videos' features are.
        copies: whether videos that browsers do not play are copied.
    """

    def __init__(self, run: Run, folder: ResultFolder, store: Path, *, copies: bool):
        #: Videos of which there should be a copy and is none, and why.
        self.uncopied: list[Failure] = []
        self._run = run
        self._folder = folder
        self._store = open_store(store)
        self._copies = copies
        self._videos: list[dict[str, Any]] = []

    def add(self, video: Video, localized: Localized) -> None:
        """Add a video, copying it where that is needed to play it."""
        record = self._store.record(video.name)
        assert record is not None, "the video has been localized from the store"
        fps = self._run.model.grid.fps
        shown = show(self._folder, video, fingerprint=record.sha256, fps=fps, copies=self._copies)
        if shown.failure:
            failure = Failure(name=video.name, source=video.source, reason=shown.failure)
            self.uncopied.append(failure)
        found = assemble([localized.detections], [video.name], self._run.model.classes)
        played = PlayedVideo(
            video.name,
            record.duration,
            shown.url,
            shown.offset,
            shown.note,
            localized.scores.branches,
        )
        self._videos.append(embed(played, found, keep_non_overlapping(found)))

    def write(self, stages: list[str], failures: Sequence[Failure], floor: float) -> None:
        """Write the page.

        Args:
            stages: the checkpoints used.
            failures: videos that could not be processed.
            floor: the score below which detections are hidden at first.

        Raises:
            DuetalError: it can't be written.
        """
        run, model = self._run, self._run.model
        branch = model.branch_of(stages[0]).name if len(stages) == 1 else ENSEMBLE
        PlayerPage(
            title=f"{' and '.join(stages)} of {run.folder.path.absolute().name}",
            branch=branch,
            facts={
                "Checkpoint chosen by": model.rule(stages),
                "Classes": ", ".join(model.classes),
                "Features": self._features(),
            },
            failures=[(failure.name, failure.reason) for failure in failures],
            floor=floor,
            grid=model.grid.grid(),
            branches={branch.name: branch.title for branch in model.branches},
        ).write(self._folder.page, model.classes, self._videos)

    def _features(self) -> str:
        """Which weights the features were made with, in words."""
        settings = self._store.settings
        names = [f"{m}: {Path(settings[m]['name']).name}" for m in self._store.modalities]
        if self._run.model.features is None:
            names.append("whether these are what the run was trained on cannot be verified")
        return "; ".join(names)
