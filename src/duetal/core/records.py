"""Records: typed contents of JSON files that this package writes and reads back."""

from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from duetal.core.errors import DuetalError
from duetal.core.files import read_json, write_json

AnyRecord = TypeVar("AnyRecord", bound="Record")


class Record(BaseModel):
    """Base of all records. Unknown keys are ignored: files of a newer version stay readable."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return self.model_dump(mode="json", by_alias=True)

    def write(self, path: Path) -> None:
        """Write the JSON file, atomically."""
        write_json(path, self.to_json())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the JSON file.

        Raises:
            DuetalError: unreadable, not JSON or of another shape.
        """
        return parse(cls, read_json(path), path)


def parse(
    kind: type[AnyRecord], value: Any, file: Path | str | None, place: str | None = None
) -> AnyRecord:
    """Make a record of a JSON value.

    Raises:
        DuetalError: the value has another shape; the place is the path of keys to the fault.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        keys = ".".join(str(part) for part in first["loc"])
        where = ", ".join(part for part in (place, keys) if part)
        cause = first["msg"].removeprefix("Value error, ")
        raise DuetalError(cause, file=file, place=where or None) from error


def read_if_there(kind: type[AnyRecord], path: Path) -> AnyRecord | None:
    """Read a record; None where there is no such file (yet).

    Raises:
        DuetalError: unreadable, not JSON or of another shape.
    """
    return kind.read(path) if path.exists() else None
