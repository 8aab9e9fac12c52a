"""BaS-Net's `gt.json`: ActivityNet JSON with its times as strings and without durations.

    {"database": {"video_test_0000896": {"subset": "test", "annotations": [
      {"segment": ["18.6", "24.8"], "label": "HighJump"}]}}}

Many weakly supervised methods read their ground truth from a file of this form.
"""

from pathlib import Path

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError
from duetal.core.files import write_json
from duetal.formats.activitynet import read_annotations
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

__all__ = ["read_annotations", "write_annotations"]


def write_annotations(
    path: Path, annotations: Annotations, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write a ground truth file, atomically; durations are left out.

    Raises:
        DuetalError: a video whose segments are unknown, for which the form has no word, or the
            file can't be written.
    """
    database = {}
    for video in annotations:
        if video.segments is None:
            cause = "cannot write: its segments are unknown, and the form has segments alone"
            raise DuetalError(cause, file=path, place=f"video {video.name!r}")
        listed = [{"segment": [str(s.start), str(s.end)], "label": s.label} for s in video.segments]
        database[video.name] = {"subset": video.subset or "", "annotations": listed}
    write_json(path, {"database": database}, indent=None)
