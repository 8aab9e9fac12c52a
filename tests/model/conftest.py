"""A tiny CLIP of random weights, and branches small enough to test in milliseconds."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from duetal.model.cbp import CBPBranch
from duetal.model.text import PromptedTextEncoder, load_text_encoder, make_tiny_clip
from duetal.model.vlp import VLPBranch

CLASSES = ("HighJump", "Diving", "CleanAndJerk")
WIDTH = 16
MakeVLP = Callable[..., VLPBranch]


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    make_tiny_clip(folder, dimension=WIDTH)
    return folder


@pytest.fixture
def text(tiny_clip: Path) -> PromptedTextEncoder:
    torch.manual_seed(0)
    return load_text_encoder(str(tiny_clip), CLASSES, prompts_before=3, prompts_after=2)


@pytest.fixture
def make_cbp() -> Callable[..., CBPBranch]:
    """A CBP branch in eval mode, with features standardised and dropout ready to be noticed."""

    def make(radius: int = 0, levels: int = 3) -> CBPBranch:
        torch.manual_seed(1)
        branch = CBPBranch(
            WIDTH, 3, width=16, levels=levels, heads=2, radius=radius, dropout=0.5
        ).eval()
        branch.standardize(torch.randn(WIDTH), torch.rand(WIDTH) + 0.5)
        return branch

    return make


@pytest.fixture
def make_vlp(text: PromptedTextEncoder) -> MakeVLP:
    """A VLP branch in eval mode; `trained` moves every weight away from where it started."""

    def make(*, trained: bool, **settings: object) -> VLPBranch:
        torch.manual_seed(2)
        branch = VLPBranch(text, WIDTH, heads=2, **settings).eval()  # type: ignore[arg-type]
        if trained:
            for parameter in branch.parameters():
                if parameter.requires_grad:
                    parameter.data += 0.2 * torch.randn_like(parameter)
        return branch

    return make
