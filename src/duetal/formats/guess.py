"""Reading annotations of whatever form lies at a path."""

from pathlib import Path

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.formats import activitynet, thumos14, tsv, wtalc


def read_annotations(path: Path, *, report: Report = raise_error) -> Annotations:
    """Read the annotation at a path, in any known form.

    An ActivityNet JSON file, a weak-label table (`.tsv`, `.csv`), the W-TALC pack's annotation
    folder, or a folder of THUMOS'14 text.

    Args:
        path: the file or folder.
        report: takes the errors after which reading can go on without a video, row or line.

    Raises:
        DuetalError: nothing there, of no known form, or malformed.
    """
    if not path.exists():
        raise DuetalError("no such file or folder", file=path)
    if path.is_dir():
        if wtalc.is_wtalc(path):
            return wtalc.read_annotations(path, report=report)
        if thumos14.is_thumos14(path):
            return thumos14.read_annotations(path, report=report)
        cause = "holds neither the W-TALC pack's annotation (videoname.npy, segments.npy, …) nor "
        raise DuetalError(cause + "THUMOS text (<Class>_test.txt, …)", file=path)
    if path.suffix.lower() in (".tsv", ".csv"):
        return tsv.read_annotations(path, report=report)
    if path.suffix.lower() == ".json":
        return activitynet.read_annotations(path, report=report)
    raise DuetalError("annotations are .json, .tsv, .csv, or a folder", file=path)
