"""Every outside form that is read or written, by name: the one list of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import Report
from duetal.formats import (
    activitynet,
    boris,
    csv_table,
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


class Format(StrEnum):
    """The name of a form, as `duetal convert --from` and `--to` take it."""

    ACTIVITYNET = "activitynet"
    BASNET = "basnet"
    BORIS = "boris"
    CSV = "csv"
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

        Args:
            path: the file or folder.
            options: what the form may need to know that is not in its files.
            report: takes the error of each video, row or line that can't be used; reading goes on
                without it where the report returns.

        Raises:
            DuetalError: missing, unreadable, too large or not of the form; names file and place.
        """


class ReadDetections(Protocol):
    """Reads detections, raising nothing but a DuetalError."""

    def __call__(self, path: Path, /, *, options: FormatOptions) -> Detections:
        """Read the file or folder."""


class WriteAnnotations(Protocol):
    """Writes annotations, each file atomically."""

    def __call__(self, path: Path, content: Annotations, /, *, options: FormatOptions) -> None:
        """Write the file or folder."""


class WriteDetections(Protocol):
    """Writes detections, each file atomically."""

    def __call__(self, path: Path, content: Detections, /, *, options: FormatOptions) -> None:
        """Write the file or folder."""


@dataclass(frozen=True, slots=True)
class Form:
    """What can be done with a form.

    Args:
        read_annotations: None where it has no annotations, and so on.
        write_annotations: likewise.
        read_detections: likewise.
        write_detections: into a form that annotation tools read, detections go to be corrected; it
            need not be able to hold their scores.
        folder: a file's suffix, where an annotation is a folder of such files, one a video; "/"
            where it is always a folder; "" where it is a file.
    """

    read_annotations: ReadAnnotations
    write_annotations: WriteAnnotations | None = None
    read_detections: ReadDetections | None = None
    write_detections: WriteDetections | None = None
    folder: str = ""


FORMS: Mapping[Format, Form] = {
    Format.ACTIVITYNET: Form(
        activitynet.read_annotations,
        activitynet.write_annotations,
        activitynet.read_detections,
        activitynet.write_detections,
    ),
    Format.BASNET: Form(activitynet.read_annotations, activitynet.write_string_annotations),
    Format.BORIS: Form(boris.read_annotations),
    Format.CSV: Form(
        csv_table.read_annotations,
        csv_table.write_annotations,
        csv_table.read_detections,
        csv_table.write_detections,
    ),
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
    Format.STRONG: Form(desed.read_strong, desed.write_strong),
    Format.THUMOS14: Form(
        thumos14.read_annotations,
        thumos14.write_annotations,
        thumos14.read_detections,
        thumos14.write_detections,
        folder="/",
    ),
    Format.VIA: Form(via.read_annotations, via.write, write_detections=via.write),
    Format.WEAK: Form(desed.read_weak, desed.write_weak),
    Format.WEBVTT: Form(
        webvtt.read_annotations,
        webvtt.write,
        webvtt.read_detections,
        webvtt.write,
        folder=webvtt.SUFFIX,
    ),
    # Its arrays are pickled objects: whoever reads them has to trust them, so none are made here.
    Format.WTALC: Form(wtalc.read_annotations, folder="/"),
}
