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
    basnet,
    boris,
    detection_table,
    elan,
    fiftyone,
    label_studio,
    segment_table,
    strong,
    thumos14,
    thumos14_detections,
    tsv,
    via,
    webvtt_files,
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


class Kind(StrEnum):
    """What a file holds: what is known of videos, or what a model found in them."""

    ANNOTATIONS = "annotations"
    DETECTIONS = "detections"


class ReadAnnotations(Protocol):
    """Reads annotations, raising nothing but a DuetalError."""

    def __call__(self, path: Path, /, *, options: FormatOptions, report: Report) -> Annotations:
        """Read the file or folder."""


class ReadDetections(Protocol):
    """Reads detections, raising nothing but a DuetalError."""

    def __call__(self, path: Path, /, *, options: FormatOptions) -> Detections:
        """Read the file or folder."""


class WriteAnnotations(Protocol):
    """Writes annotations, each file atomically."""

    def __call__(self, path: Path, annotations: Annotations, /, *, options: FormatOptions) -> None:
        """Write the file or folder."""


class WriteDetections(Protocol):
    """Writes detections, each file atomically."""

    def __call__(self, path: Path, detections: Detections, /, *, options: FormatOptions) -> None:
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
    Format.BASNET: Form(basnet.read_annotations, basnet.write_annotations),
    Format.BORIS: Form(boris.read_annotations),
    Format.CSV: Form(
        segment_table.read_annotations,
        segment_table.write_annotations,
        detection_table.read_detections,
        detection_table.write_detections,
    ),
    Format.ELAN: Form(
        elan.read_annotations,
        elan.write_annotations,
        write_detections=elan.write_detections,
        folder=elan.SUFFIX,
    ),
    Format.FIFTYONE: Form(
        fiftyone.read_annotations,
        fiftyone.write_annotations,
        fiftyone.read_detections,
        fiftyone.write_detections,
    ),
    Format.LABEL_STUDIO: Form(
        label_studio.read_annotations,
        label_studio.write_annotations,
        label_studio.read_detections,
        label_studio.write_detections,
    ),
    Format.STRONG: Form(strong.read_annotations, strong.write_annotations),
    Format.THUMOS14: Form(
        thumos14.read_annotations,
        thumos14.write_annotations,
        thumos14_detections.read_detections,
        thumos14_detections.write_detections,
        folder="/",
    ),
    Format.VIA: Form(
        via.read_annotations, via.write_annotations, write_detections=via.write_detections
    ),
    Format.WEAK: Form(tsv.read_annotations, tsv.write_annotations),
    Format.WEBVTT: Form(
        webvtt_files.read_annotations,
        webvtt_files.write_annotations,
        webvtt_files.read_detections,
        webvtt_files.write_detections,
        folder=webvtt_files.SUFFIX,
    ),
    # Its arrays are pickled objects: who reads them has to trust them, so none are made here.
    Format.WTALC: Form(wtalc.read_annotations, folder="/"),
}
