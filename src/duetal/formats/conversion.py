"""From one form to another, with an account of what the other could not hold."""

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError, raise_error
from duetal.core.outputs import refuse_existing
from duetal.core.segment_faults import segment_note
from duetal.formats.conversion_losses import annotation_losses, as_losses, detection_losses
from duetal.formats.forms import FORMS, ContentKind, Form, Format
from duetal.formats.guess import form_of, kind_of
from duetal.formats.json_values import shortened
from duetal.formats.label_studio import interface_place
from duetal.formats.marked import Content, as_annotations, marked
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions
from duetal.formats.thumos14 import CLASS_LIST

#: The form of a file that is to be written, by its suffix; `.tsv` depends on what there is.
_BY_SUFFIX = {
    ".json": Format.ACTIVITYNET,
    ".boris": Format.BORIS,
    ".csv": Format.CSV,
    ".eaf": Format.ELAN,
    ".vtt": Format.WEBVTT,
    ".txt": Format.THUMOS14,
}


_TABLES = (Format.CSV, Format.STRONG, Format.WEAK)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Conversion:
    """What was converted, and what was written: so many videos."""

    source_format: Format
    target_format: Format
    #: What was read.
    kind: ContentKind
    videos: int
    #: Segments or detections.
    rows: int
    #: What was not carried over, a line for each kind of thing, with its count.
    lines: tuple[str, ...]
    #: What the reader had to repair.
    notes: tuple[str, ...] = ()
    #: What was written beside the target.
    files: tuple[Path, ...] = ()


def convert(
    source: Path,
    target: Path,
    *,
    source_format: Format | None = None,
    target_format: Format | None = None,
    kind: ContentKind | None = None,
    options: FormatOptions = DEFAULT_OPTIONS,
    subset: str | None = None,
    min_score: float | None = None,
    force: bool = False,
) -> Conversion:
    """Convert annotations or detections.

    What was written is read back and compared, so the account of what is lost is of what happened.

    Args:
        source: a file or folder of any known form.
        target: a file or folder that is not there, unless `force`.
        source_format: its form; guessed from its content otherwise.
        target_format: the form to write; by the target's suffix otherwise.
        kind: what to read of a form that may hold both.
        options: what the forms need to know.
        subset: of the videos whose source names none.
        min_score: detections below are left out.
        force: replace a target that is a file.

    Raises:
        DuetalError: the source is malformed or has a time that is not finite, or the target can't
            be written or can't hold it.
        UsageError: the target is there, its form is not clear, or an option is missing.
    """
    source_format = source_format or form_of(source)
    kind = kind or kind_of(source, source_format, options)
    content = _read(source, source_format, kind, options)
    if isinstance(content, Annotations):
        _require_finite(content)
    else:
        content.require_finite()
    lines = [f"not read: {line}" for line in content.left_out]
    content = _chosen(content, subset, min_score, lines)
    read = (source, source.parent / CLASS_LIST)
    done = save(content, target, target_format, options=options, read=read, force=force)
    return replace(done, source_format=source_format, kind=kind, lines=(*lines, *done.lines))


def save(
    content: Content,
    target: Path,
    target_format: Format | None = None,
    *,
    options: FormatOptions = DEFAULT_OPTIONS,
    read: tuple[Path, ...] = (),
    force: bool = False,
) -> Conversion:
    """Write annotations or detections in a form; arguments and errors as of `convert`.

    `read` is what the target may not be.
    """
    to = target_format or _format_for(target, content)
    form = FORMS[to]
    kind = ContentKind.DETECTIONS if isinstance(content, Detections) else ContentKind.ANNOTATIONS
    lines: list[str] = []
    if isinstance(content, Detections) and form.write_detections is None:
        lines += as_losses(content)
        content = as_annotations(marked(content), target, classes=content.classes)
    files = _check_target(target, to, read, force=force)
    with _in_place(target, *files) as place:
        lines += _write(place, content, form, to, options)
    rows, notes = len(content), tuple(filter(None, [segment_note(content)]))
    if isinstance(content, Annotations):
        rows, notes = sum(len(v.segments or ()) for v in content), (*content.notes, *notes)
    if to in _TABLES:
        notes += formula_notes(content)
    videos = len(content.videos)
    return Conversion(to, to, kind, videos, rows, tuple(lines), notes, files)


def formula_notes(content: Content) -> tuple[str, ...]:
    """A note of the cells that a spreadsheet would take for formulas."""
    texts = [one for one in (*content.videos, *content.classes) if one.startswith(_FORMULA)]
    if not texts:
        return ()
    listed = f"{shortened(texts[0])}{', …' if len(texts) > 1 else ''}"
    cause = f"names that look like formulas to a spreadsheet: {len(texts):,} ({listed})"
    return (f"{cause}: import the columns as text",)


def _chosen(
    content: Content, subset: str | None, min_score: float | None, lines: list[str]
) -> Content:
    """The content with the options applied that are about one kind of it."""
    if isinstance(content, Annotations):
        if min_score is not None:
            raise UsageError("annotations have no scores (--min-score)", file=content.source)
        if subset is not None:
            videos = {v.name: v if v.subset else replace(v, subset=subset) for v in content}
            content = replace(content, videos=videos)
        return content
    if subset is not None:
        raise UsageError("detections have no subsets (--subset)", file=content.source)
    if min_score is None:
        return content
    kept = content.take(content.score >= min_score)
    if len(kept) < len(content):
        lines.append(f"detections under {min_score:g}: {len(content) - len(kept):,} dropped")
    return kept


def _read(path: Path, name: Format, kind: ContentKind, options: FormatOptions) -> Content:
    form = FORMS[name]
    if kind is ContentKind.ANNOTATIONS:
        return form.read_annotations(path, options=options, report=raise_error)
    if form.read_detections is None:
        raise UsageError(f"{name} has annotations, not detections", file=path)
    return form.read_detections(path, options=options)


def _require_finite(annotations: Annotations) -> None:
    """Check that every time is a number, as no form can hold NaN; names the video of another."""
    for video in annotations:
        marked = (*(video.segments or ()), *video.ambiguous)
        times = [time for segment in marked for time in (segment.start, segment.end)]
        if not all(map(math.isfinite, (*times, video.duration or 0.0))):
            cause = "a segment or the duration is not a finite number"
            raise DuetalError(cause, file=annotations.source, place=f"video {video.name!r}")


def _format_for(target: Path, content: Content) -> Format:
    """The form to write, by the target's name."""
    suffix = target.suffix.lower()
    if suffix == ".txt" and isinstance(content, Annotations):
        raise UsageError("THUMOS'14's annotations are a folder of files", file=target)
    if suffix == ".tsv":
        segments = [v.segments for v in content] if isinstance(content, Annotations) else [()]
        weak = None in segments and not any(segments)
        return Format.WEAK if weak else Format.STRONG
    if suffix not in _BY_SUFFIX:
        forms = ", ".join(name for name, form in FORMS.items() if form.write_annotations)
        raise UsageError(f"the name does not show the form to write (--to {forms})", file=target)
    return _BY_SUFFIX[suffix]


def _check_target(
    target: Path, name: Format, read: tuple[Path, ...], *, force: bool
) -> tuple[Path, ...]:
    """Check that nothing is overwritten unasked; gives what is written beside the target."""
    beside = (interface_place(target),) if name is Format.LABEL_STUDIO else ()
    for path in (target, *beside):
        if path.is_dir() and any(path.iterdir()):
            raise UsageError("is a folder that holds something; name a new one", file=path)
        refuse_existing(path, read, force=force)
    return beside


def _write(
    target: Path, content: Content, form: Form, name: Format, options: FormatOptions
) -> list[str]:
    """Write, read back, and compare; gives what is lost."""
    lost = []
    if isinstance(content, Detections):
        assert form.write_detections is not None
        form.write_detections(target, content, options=options)
        if form.read_detections is not None:
            return detection_losses(content, form.read_detections(target, options=options))
        lost = as_losses(content)
        content = as_annotations(marked(content), target, classes=content.classes)
    elif form.write_annotations is None:
        raise UsageError(f"{name} is read, not written", file=target)
    else:
        form.write_annotations(target, content, options=options)
    again = form.read_annotations(target, options=options, report=raise_error)
    return lost + annotation_losses(content, again)


@contextmanager
def _in_place(target: Path, *beside: Path) -> Iterator[Path]:
    """Where to write the target: it comes to its place once the block, which reads it, succeeds.

    So do the files beside it. Errors name them by their place.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            unfinished = Path(folder) / target.name
            if target.is_dir():
                unfinished.mkdir()
            # Numbers of classes mean what the list beside them says.
            if (numbers := target.parent / CLASS_LIST).is_file():
                shutil.copy(numbers, folder)
            try:
                yield unfinished
            except DuetalError as error:
                if error.file is None or not error.file.is_relative_to(folder):
                    raise
                file = target.parent / error.file.relative_to(folder)
                raise type(error)(error.cause, file=file, place=error.place) from error
            for path in (*beside, target):
                # A folder without any video is not written.
                if (written := Path(folder) / path.name).exists():
                    written.replace(path)
    except OSError as error:
        raise DuetalError(f"cannot write: {error.strerror}", file=target) from error
