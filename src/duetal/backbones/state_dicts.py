"""Reading tensors from a file that somebody else made, and nothing but tensors."""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from duetal.core.errors import DuetalError, machine_fault

#: Where training programs put the weights beside their optimizer and their epoch.
_NESTS = ("state_dict", "model_state_dict", "model")
_PARALLEL = "module."


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by key: `.safetensors`, or whatever `torch.save` has written.

    Weights below "state_dict" or "model" are found there; `DataParallel`'s "module." is removed.
    DuetalError if it is unreadable, truncated, or holds something else than tensors; nothing of it
    is executed.
    """
    content = _read(path)
    for nest in _NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
            break
    if not isinstance(content, Mapping) or not content:
        raise DuetalError("no weights by name in it, but " + type(content).__name__, file=path)
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            cause = f"not a tensor by name, but {type(value).__name__}"
            raise DuetalError(cause, file=path, place=str(key))
    if all(key.startswith(_PARALLEL) for key in content):
        return {key.removeprefix(_PARALLEL): value for key, value in content.items()}
    return dict(content)


def _read(path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise DuetalError(f"not a whole safetensors file: {error}", file=path) from error
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror or error}", file=path) from error
    except pickle.UnpicklingError as error:
        # The rest of PyTorch's message advises to load the file without this protection.
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        cause = "not PyTorch weights, or damaged"
        if wanted:
            cause = f"refused: besides tensors it holds {wanted[1]}, which could execute anything"
        raise DuetalError(cause, file=path) from error
    except Exception as error:
        # PyTorch answers damaged files with whatever error its parser runs into.
        if fault := machine_fault(error):
            raise DuetalError(fault, file=path) from error
        detail = str(error).strip().partition(". ")[0] or type(error).__name__
        cause = f"not PyTorch weights, or only a part of them: {detail}"
        raise DuetalError(cause, file=path) from error
