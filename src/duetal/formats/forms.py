"""Every outside form that is read or written, by name: the one list of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import Report
from duetal.formats import (
    activitynet,
    boris,
    boris_writing,
    csv_table,
    cvat,
    desed,
    elan,
    fiftyone,
    label_studio,
    thumos14,
    via,
    webvtt,
    wtalc,
)
from duetal.formats.options import FormatOptions

_C = TypeVar("_C", contravariant=True)
_R = TypeVar("_R")


class Format(StrEnum):
    """The name of a form, as `duetal convert --from` and `--to` take it."""

    ACTIVITYNET = "activitynet"
    BASNET = "basnet"
    BORIS = "boris"
    CSV = "csv"
    CVAT = "cvat"
    ELAN = "elan"
    FIFTYONE = "fiftyone"
    LABEL_STUDIO = "label-studio"
    STRONG = "strong"
    THUMOS14 = "thumos14"
    VIA = "via"
    WEAK = "weak"
    WEBVTT = "webvtt"
    WTALC = "w-talc"


class ContentKind(StrEnum):
    """What a file holds: what is known of videos, or what a model found in them."""

    ANNOTATIONS = "annotations"
    DETECTIONS = "detections"


class ReadAnnotations(Protocol):
    """Reads annotations, raising nothing but a DuetalError."""

    def __call__(self, path: Path, /, *, options: FormatOptions, report: Report) -> Annotations:
        """Read the file or folder.

        The report takes the error of each video, row or line that can't be used; reading goes on
        without it where the report returns.

        Raises:
            DuetalError: missing, unreadable, too large or not of the form; names file and place.
        """


class ReadDetections(Protocol):
    """Reads detections, raising nothing but a DuetalError."""

    def __call__(self, path: Path, /, *, options: FormatOptions) -> Detections:
        """Read the file or folder."""


class Write(Protocol[_C]):
    """Writes annotations or detections, each file atomically."""

    def __call__(self, path: Path, content: _C, /, *, options: FormatOptions) -> None:
        """Write the file or folder."""


@dataclass(frozen=True, slots=True)
class Form:
    """What can be done with a form; None where it can't."""

    read_annotations: ReadAnnotations
    write_annotations: Write[Annotations] | None = None
    read_detections: ReadDetections | None = None
    #: Into a form that annotation tools read, detections go to be corrected; it need not be able
    #: to hold their scores.
    write_detections: Write[Detections] | None = None
    #: A file's suffix, where an annotation is a folder of such files, one a video; "/" where it is
    #: always a folder; "" where it is a file.
    folder: str = field(default="", kw_only=True)


def _without_options(function: Callable[..., _R]) -> Callable[..., _R]:
    def called(*arguments: Any, options: FormatOptions, **more: Any) -> _R:
        return function(*arguments, **more)

    return called


def _plain(*functions: Callable[..., Any], folder: str = "") -> Form:
    """A form whose functions, in the order of `Form`, take no options."""
    return Form(*map(_without_options, functions), folder=folder)


FORMS: Mapping[Format, Form] = {
    Format.ACTIVITYNET: Form(
        activitynet.read_annotations,
        _without_options(activitynet.write_annotations),
        activitynet.read_detections,
        _without_options(activitynet.write_detections),
    ),
    Format.BASNET: Form(
        activitynet.read_annotations, _without_options(activitynet.write_string_annotations)
    ),
    Format.BORIS: Form(
        boris.read_annotations,
        boris_writing.write,
        write_detections=boris_writing.write,
    ),
    Format.CSV: Form(
        csv_table.read_annotations,
        _without_options(csv_table.write_annotations),
        csv_table.read_detections,
        _without_options(csv_table.write_detections),
    ),
    Format.CVAT: Form(cvat.read_annotations, folder=cvat.SUFFIX),
    Format.ELAN: Form(
        elan.read_annotations, elan.write, write_detections=elan.write, folder=elan.SUFFIX
    ),
    Format.FIFTYONE: Form(
        fiftyone.read_annotations, fiftyone.write, fiftyone.read_detections, fiftyone.write
    ),
    Format.LABEL_STUDIO: Form(
        label_studio.read_annotations,
        label_studio.write,
        label_studio.read_detections,
        label_studio.write,
    ),
    Format.STRONG: _plain(desed.read_strong, desed.write_strong),
    Format.THUMOS14: Form(
        _without_options(thumos14.read_annotations),
        _without_options(thumos14.write_annotations),
        thumos14.read_detections,
        _without_options(thumos14.write_detections),
        folder="/",
    ),
    Format.VIA: Form(via.read_annotations, via.write, write_detections=via.write),
    Format.WEAK: _plain(desed.read_weak, desed.write_weak),
    Format.WEBVTT: _plain(
        webvtt.read_annotations,
        webvtt.write,
        webvtt.read_detections,
        webvtt.write,
        folder=webvtt.SUFFIX,
    ),
    # Its arrays are pickled objects: whoever reads them has to trust them, so none are made here.
    Format.WTALC: _plain(wtalc.read_annotations, folder="/"),
}
