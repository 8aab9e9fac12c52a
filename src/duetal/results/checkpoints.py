"""Checkpoints: one safetensors file each, with its record as JSON in the file's metadata.

One file, because a kill between the renames of two would leave them out of step.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from duetal.core.errors import DuetalError
from duetal.core.files import replacing
from duetal.results.version_0_1 import upgrade_tensors


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and their record."""

    tensors: dict[str, Tensor]
    record: dict[str, Any]


def save(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically."""
    # safetensors refuses tensors that share memory, and tied weights do.
    own = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    with replacing(path) as temporary:
        save_file(own, temporary, metadata={"duetal": json.dumps(dict(record))})


def load(path: Path, *, needs: Iterable[str] = ()) -> Checkpoint:
    """Read a checkpoint, whose record must have the keys that the caller `needs`.

    Raises:
        DuetalError: missing, truncated, not a checkpoint of ours, or not of the kind needed.
    """
    if not path.is_file():
        raise DuetalError("no such checkpoint", file=path)
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("duetal")
            if text is None:
                raise DuetalError("a safetensors file, but no checkpoint of duetal", file=path)
            record = json.loads(text)
            for key in needs:
                if not isinstance(record, dict) or key not in record:
                    raise DuetalError(f"a checkpoint of another kind: has no {key}", file=path)
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
            return Checkpoint(upgrade_tensors(tensors), record)
    except (SafetensorError, OSError, ValueError) as error:
        raise DuetalError(f"truncated or damaged checkpoint: {error}", file=path) from error


def load_into(module: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load a branch's tensors; a text encoder, which checkpoints leave out, stays as it is.

    Raises:
        DuetalError: a tensor is missing or of another shape: a checkpoint of another configuration.
    """
    own = module.state_dict()
    wanted = {name for name in own if not name.startswith("text.model.")}
    for name in sorted(wanted):
        found = tuple(tensors[name].shape) if name in tensors else None
        if found != (expected := tuple(own[name].shape)):
            difference = f"shape {found}, expected {expected}" if found is not None else "not in it"
            cause = f"checkpoint of another configuration: {difference}"
            raise DuetalError(cause, file=path, place=name)
    module.load_state_dict({name: tensors[name] for name in wanted}, strict=False)
