"""`dataset.yaml`: the pieces of a dataset by name, each of them optional."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from duetal.core.errors import UsageError, unknown
from duetal.core.files import read_yaml
from duetal.core.grid import TimeGrid


class Description(BaseModel):
    """The content of `dataset.yaml`. Paths are relative to its folder.

    What is left out is looked for beside the file, as if there were no file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Features of the CBP branch: a folder, a file, or several to join (RGB, flow).
    cbp: str | list[str] | None = None
    #: Features of the VLP branch, likewise.
    vlp: str | list[str] | None = None
    #: Features of other branches by their names, likewise.
    streams: dict[str, str | list[str]] = {}
    #: Datasets whose features are read in place of any here, each for the videos that those before
    #: it do not have.
    features_of: list[str] = []
    #: ActivityNet JSON, the W-TALC annotation folder, THUMOS text, or a weak table.
    annotations: str | None = None
    #: A weak table (TSV or CSV): the videos to train on and their labels.
    train_labels: str | None = None
    #: The CLIP text encoder: a folder, or a name on the hub; or class embeddings (K, D): a `.npy`
    #: file, whose K names are a list in the `.json` beside it.
    text_encoder: str | None = None
    grid: TimeGrid = TimeGrid()  #: Of the features.
    #: What a class is called in a prompt, in place of its name.
    display_names: dict[str, str] = {}
    #: The classes in the order of their indices; otherwise the annotation's, or sorted.
    classes: Annotated[list[str], Field(min_length=1)] | None = None
    #: Take names of features and labels that differ from the annotation's by one rule for those.
    match_names: bool = False


def read_description(path: Path) -> Description:
    """Read `dataset.yaml`.

    Raises:
        DuetalError: unreadable, or not YAML.
        UsageError: an unknown key (with the nearest known one) or an impossible value.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UsageError("expected keys and values", file=path)
    try:
        description = Description.model_validate(values)
    except ValidationError as error:
        raise _usage_error(error, path) from error
    if description.features_of and (description.cbp or description.vlp or description.streams):
        cause = "takes the place of cbp, vlp and streams: name them in a dataset of its own"
        raise UsageError(cause, file=path, place="features_of")
    if len(set(description.classes or ())) != len(description.classes or ()):
        raise UsageError("a class is listed twice", file=path, place="classes")
    return description


def _usage_error(error: ValidationError, path: Path) -> UsageError:
    first = error.errors(include_url=False)[0]
    *parents, key = first["loc"]
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = [field.name for field in fields(TimeGrid)] if parents else Description.model_fields
        return UsageError(unknown("key", str(key), known), file=path)
    # The alternatives of a union are part of pydantic's location, and nothing to the user.
    place = ".".join(str(part) for part in first["loc"] if part not in ("str", "list[str]"))
    return UsageError(first["msg"], file=path, place=place)
