"""`dataset.yaml`: the pieces of a dataset by name, each of them optional."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from duetal.core.errors import DuetalError, UsageError, unknown
from duetal.core.grid import TimeGrid


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GridDescription(_Strict):
    """The time grid of the features; see `duetal.core.grid.TimeGrid`."""

    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 25.0
    stride: Annotated[int, Field(gt=0)] = 16
    window: Annotated[int, Field(gt=0)] = 16

    def grid(self) -> TimeGrid:
        """The grid itself."""
        return TimeGrid(self.fps, self.stride, self.window)


class Description(_Strict):
    """The content of `dataset.yaml`. Paths are relative to its folder.

    What is left out is looked for beside the file, as if there were no file.
    """

    #: Features of the CBP branch: a folder, a file, or several to join (RGB, flow).
    cbp: str | list[str] | None = None
    #: Features of the VLP branch, likewise.
    vlp: str | list[str] | None = None
    #: Features of other branches by their names, likewise.
    streams: dict[str, str | list[str]] = {}
    #: ActivityNet JSON, the W-TALC annotation folder, THUMOS text, or a weak table.
    annotations: str | None = None
    #: A weak table (TSV or CSV): the videos to train on and their labels.
    train_labels: str | None = None
    #: The CLIP text encoder: a folder, or a name on the hub.
    text_encoder: str | None = None
    grid: GridDescription = GridDescription()
    #: What a class is called in a prompt, in place of its name.
    display_names: dict[str, str] = {}
    #: The classes in the order of their indices; otherwise the annotation's, or sorted.
    classes: Annotated[list[str], Field(min_length=1)] | None = None


def read_description(path: Path) -> Description:
    """Read `dataset.yaml`.

    Raises:
        DuetalError: unreadable, or not YAML.
        UsageError: an unknown key (with the nearest known one) or an impossible value.
    """
    try:
        values: Any = yaml.safe_load(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise DuetalError("not UTF-8 text", file=path, place=f"byte {error.start}") from error
    except Exception as error:
        # A scalar that is not of its tag (`!!int ''`) fails in any way that Python has.
        mark = getattr(error, "problem_mark", None)
        place = None if mark is None else f"line {mark.line + 1}"
        cause = f"not YAML: {getattr(error, 'problem', None) or 'damaged'}"
        raise DuetalError(cause, file=path, place=place) from error
    if not isinstance(values, dict):
        raise UsageError("expected keys and values", file=path)
    try:
        description = Description.model_validate(values)
    except ValidationError as error:
        raise _usage_error(error, path) from error
    if len(set(description.classes or ())) != len(description.classes or ()):
        raise UsageError("a class is listed twice", file=path, place="classes")
    return description


def _usage_error(error: ValidationError, path: Path) -> UsageError:
    first = error.errors(include_url=False)[0]
    *parents, key = first["loc"]
    if first["type"] == "extra_forbidden":
        model = GridDescription if parents == ["grid"] else Description
        return UsageError(unknown("key", str(key), model.model_fields), file=path)
    # The alternatives of a union are part of pydantic's location, and nothing to the user.
    place = ".".join(str(part) for part in first["loc"] if part not in ("str", "list[str]"))
    return UsageError(first["msg"], file=path, place=place)
