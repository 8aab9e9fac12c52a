"""Whether the backbones behind the features are trained with the branches, and how."""

import re

from pydantic import Field, field_validator

from duetal.core.settings_section import Settings


class BackboneSettings(Settings):
    """The backbones behind the features."""

    train: str | None = None
    """[F] Which weights of the backbones are trained by the losses: `adapters` (LoRA beside each
    linear layer), `last:N` (the last N blocks and what comes after them), `all`. None: the features
    stay as they are."""
    features: tuple[str, ...] | None = None
    """[D] The features whose backbones are trained, such as clip. None: all that are read and can
    be trained; flow cannot, since its engine has no gradient."""
    lr: float = Field(1e-4, gt=0, le=10)
    """[F] Learning rate of the backbones' weights; that of the branches is the schedule's."""
    rank: int = Field(8, ge=1, le=4096)
    """[F] Rank of the adapters."""
    micro_batch: int = Field(16, ge=1, le=100_000)
    """[D] Snippets that pass through a backbone at once. Gradients are exact whatever it is: it
    bounds memory."""
    keep_mib: int = Field(256, ge=0, le=1_000_000)
    """[D] MiB of what a backbone's pass leaves for its gradient that are kept; snippets beyond them
    are passed a second time. It bounds memory, and gradients are the same."""
    frames: str | None = None
    """[D] The folder of decoded frames, which are kept. None: `frames` in the store of the
    features."""

    @field_validator("train")
    @classmethod
    def _check_train(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"adapters|last:[1-9]\d{0,3}|all", value):
            raise ValueError("must be none, adapters, last:N or all")
        return value
