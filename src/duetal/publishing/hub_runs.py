"""A run that somebody pushed to the Hugging Face hub, used by its address.

What is downloaded is read as data: JSON, YAML and safetensors. No file of a repository is executed.
"""

import re
from pathlib import Path

from duetal.core.console import printable
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import read_text

SCHEME = "hf://"
#: The files of a run, and of each seed of one of several.
_WANTED = ("model.json", "config.yaml", "evaluation.json", "checkpoints/*.safetensors")
_ADDRESS = re.compile(r"([\w.-]+/[\w.-]+?)(?:@([\w./-]+?))?(/seed-\d+)?")
#: Lines of a card that are shown.
_LINES = 12


def is_hub_address(place: str) -> bool:
    """Whether a place is a run on the hub."""
    return place.startswith(SCHEME)


def download_run(address: str) -> Path:
    """Download a run, `hf://OWNER/NAME`, into the hub client's cache; what is there is kept.

    `@REVISION` may follow, and `/seed-N` where the run is of several seeds.

    Raises:
        UsageError: no such address can be.
        DuetalError: no such repository, no run in it, or the hub can't be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    from duetal.publishing.upload import clear_errors

    found = _ADDRESS.fullmatch(address.removeprefix(SCHEME))
    if not is_hub_address(address) or found is None:
        raise UsageError("the address of a run is hf://OWNER/NAME", file=address)
    repo, revision, seed = found.groups()
    wanted = [f"{prefix}{name}" for name in _WANTED for prefix in ("", "seed-*/")]
    disable_progress_bars()
    with clear_errors(address, "load"):
        folder = Path(
            snapshot_download(repo, revision=revision, allow_patterns=["README.md", *wanted])
        )
    run = folder / (seed or "").lstrip("/")
    if not any((each / "model.json").is_file() for each in (run, *run.glob("seed-*"))):
        raise DuetalError("holds no run of duetal: no model.json", file=address)
    return run


def card_text(run: Path) -> list[str]:
    """The first lines of the card of a downloaded run, as text for a terminal; none without one."""
    for card in (run / "README.md", run.parent / "README.md"):
        if card.is_file():
            body = re.sub(r"\A---\n.*?\n---\n", "", read_text(card), flags=re.DOTALL)
            lines = [printable(line.rstrip())[:300] for line in body.splitlines()]
            return [line for line in lines if line.strip()][:_LINES]
    return []
