"""`duetal localize --live`: a source that is watched as it comes."""

from pathlib import Path
from typing import Any

from duetal.cli.terminal import say
from duetal.core.errors import UsageError
from duetal.core.outputs import refuse_existing
from duetal.extraction.store import branch_streams, text_encoder
from duetal.live.live_events import EVENTS, SUBTITLES, LiveEvents
from duetal.live.live_localizer import LiveLocalizer, LiveStream, LiveVideo
from duetal.live.live_run import LiveRun, require_pictures
from duetal.live.live_source import LiveSource
from duetal.own_videos.raw_videos import UNVERIFIABLE, open_extractor
from duetal.runs.processes import device_of
from duetal.runs.score_source import Source

#: The lowest score of a cue, by default.
_CUE = 0.1


def localize_live(
    source: Source,
    address: str,
    out: Path,
    *,
    weights: dict[str, str],
    accelerator: str,
    literal: bool,
    force: bool,
    min_score: float | None,
    delay: float = 4.0,
    history: float = 120.0,
    speed: float = 1.0,
) -> int:
    """Watch a live source until it ends or Ctrl-C, and write what is found as it is found."""
    if out.exists() and not out.is_dir():
        raise UsageError("--out: is a file; the results of videos are a folder", file=out)
    for name in (EVENTS, SUBTITLES):
        refuse_existing(out / name, force=force)
    live = LiveSource(address, notify=say)
    if source.run is not None and source.run.model.features is None:
        say(f"note: {UNVERIFIABLE}")
    extractor = open_extractor(source, weights, None, accelerator, batch=1, notify=say)
    require_pictures(extractor)
    stored = extractor.store_settings
    dims = {network.name: network.backbone.dim for network in extractor.networks}
    streams = branch_streams(stored)
    empty = {branch: LiveStream(sum(map(dims.__getitem__, n))) for branch, n in streams.items()}
    grid = extractor.settings.grid
    run = source.make(LiveVideo(Path(address), empty, grid, text_encoder=text_encoder(stored)))
    how: dict[str, Any] = {"delay": delay, "history": history, "literal": literal}
    how |= {"device": device_of(accelerator), "source": Path(address)}

    def localizer(begin: float) -> LiveLocalizer:
        return LiveLocalizer(run, source.stages, begin=begin, **how)

    localizer(0.0)  # What is wrong with the run or the delay is told before the source is opened.
    with LiveEvents(out, floor=_CUE if min_score is None else min_score) as events:
        watching = LiveRun(extractor, localizer, events, streams, speed)
        try:
            watching.follow(live)
        except KeyboardInterrupt:
            say("interrupted; what had ended is written")
    if watching.lost:
        say(f"note: {watching.lost:.1f} s came faster than they could be looked at, see {EVENTS}")
    say(f"{watching.detections:,} detections: {out / EVENTS}")
    return 0
