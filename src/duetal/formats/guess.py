"""Reading annotations of whatever form lies at a path."""

from pathlib import Path

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError
from duetal.formats import activitynet, thumos14, tsv, wtalc


def read_annotations(path: Path) -> Annotations:
    """Read the annotation at a path, in any known form.

    An ActivityNet JSON file, a weak-label table (`.tsv`, `.csv`), the W-TALC pack's annotation
    folder, or a folder of THUMOS'14 text.

    Raises:
        DuetalError: nothing there, of no known form, or malformed.
    """
    if not path.exists():
        raise DuetalError("no such file or folder", file=path)
    if path.is_dir():
        if wtalc.is_wtalc(path):
            return wtalc.read_annotations(path)
        if thumos14.is_thumos14(path):
            return thumos14.read_annotations(path)
        cause = "holds neither the W-TALC pack's annotation (videoname.npy, segments.npy, …) nor "
        raise DuetalError(cause + "THUMOS text (<Class>_test.txt, …)", file=path)
    if path.suffix.lower() in (".tsv", ".csv"):
        return tsv.read_annotations(path)
    if path.suffix.lower() == ".json":
        return activitynet.read_annotations(path)
    raise DuetalError("annotations are .json, .tsv, .csv, or a folder", file=path)
