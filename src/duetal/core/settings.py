"""The base of all settings."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A section of settings: typed, strict, frozen; each field's docstring describes it.

    A docstring begins with what the default rests on: [S] the paper's supplement, [N] a reading
    note of the paper, [F] the field's common practice, [D] our decision. `None` means "none".
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
