"""Writing a simulated dataset, which every other command reads like a real one."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import yaml

from duetal.backbones.text_towers import load_text_tower
from duetal.core.annotations import Annotations, VideoAnnotation
from duetal.core.errors import DuetalError
from duetal.core.files import replacing, write_json, write_text
from duetal.core.grid import TimeGrid
from duetal.formats.activitynet import write_annotations
from duetal.simulation.curved_world import CurvedWorld
from duetal.simulation.linear_world import LinearWorld
from duetal.simulation.tiny_clip import make_tiny_clip
from duetal.simulation.world import Simulation, stream_of


def simulate(
    annotations: Annotations,
    folder: Path,
    settings: Simulation,
    *,
    grid: TimeGrid | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write simulated features of both modalities over an annotation.

    The folder then holds `features/cbp` and `features/vlp` (float16 .npy), the annotation with
    durations, a tiny CLIP text encoder of random weights that the VLP stream is aligned with, and
    the settings in `simulation.json`.

    Args:
        annotations: videos with segments; an unknown duration is drawn at random.
        folder: where to write; must not exist or be empty.
        settings: difficulty, seed and sizes.
        grid: of the features; default: `TimeGrid()`.
        progress: called with (videos written, videos in all).

    Raises:
        DuetalError: the folder is not empty, or no video has segments.
    """
    grid = grid or TimeGrid()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DuetalError("exists already and is not empty; nothing was written", file=folder)
    videos = [_with_duration(v, settings, grid) for v in annotations if v.segments]
    if not videos:
        raise DuetalError("no video with segments to simulate", file=annotations.source)
    make_tiny_clip(folder / "text_encoder", dimension=settings.vlp_channels, seed=settings.seed)
    tower = load_text_tower(
        str(folder / "text_encoder"), annotations.classes, prompts_before=0, prompts_after=0
    )
    text = tower.plain_features().double().numpy()
    world = (LinearWorld if settings.linear else CurvedWorld)(settings, annotations.classes, text)
    for number, video in enumerate(videos):
        assert video.duration is not None
        length = max(1, grid.length(video.duration))
        for stream, features in world.features(video, length, grid).items():
            path = folder / "features" / stream / f"{video.name}.npy"
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, features.astype(np.float16))
        if progress is not None:
            progress(number + 1, len(videos))
    write_annotations(
        folder / "annotations.json",
        Annotations({v.name: v for v in videos}, annotations.classes, annotations.source),
    )
    write_json(folder / "simulation.json", {"simulated": True, **asdict(settings)})
    layout = {
        "cbp": "features/cbp",
        "vlp": "features/vlp",
        "annotations": "annotations.json",
        "text_encoder": "text_encoder",
        "classes": list(annotations.classes),
        "grid": asdict(grid),
    }
    # Last, so that an unfinished folder has none.
    write_text(folder / "dataset.yaml", yaml.safe_dump(layout, sort_keys=False))


def _with_duration(video: VideoAnnotation, settings: Simulation, grid: TimeGrid) -> VideoAnnotation:
    """The video with a duration, drawn where it is unknown, and its segments cut there."""
    segments, duration = video.segments or (), video.duration
    if duration is None:
        tail = stream_of(settings.seed, "duration", video.name).exponential(15.0)
        duration = max(segment.end for segment in segments) + tail
    duration = max(duration, grid.window / grid.fps)
    kept = tuple(
        replace(segment, start=max(0.0, segment.start), end=min(segment.end, duration))
        for segment in segments
        if segment.start < duration
    )
    return replace(video, duration=round(duration, 3), segments=kept)
