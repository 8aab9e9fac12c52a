"""The base of all settings."""

from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Settings(BaseModel):
    """A section of settings: typed, strict, frozen; each field's docstring describes it.

    A docstring begins with what the default rests on: [S] the paper's supplement, [N] a reading
    note of the paper, [F] the field's common practice, [D] our decision. `None` means "none", and
    is written so in recipes.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _read_value(cls, value: Any, info: ValidationInfo) -> Any:
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and kind is not bool:
            # `true` is 1 to Python, and a slip in a recipe.
            raise ValueError("Input should not be true or false")
        is_none = isinstance(value, str) and value.lower() == "none"
        return None if is_none and NoneType in get_args(kind) else value
