"""Which weights of a backbone are trained, and how it behaves meanwhile."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from duetal.core.errors import UsageError
from duetal.core.extras import naming_extras
from duetal.method.backbone_settings import BackboneSettings

#: Normalisations with statistics of their training set, which a few crops would spoil.
_FROZEN = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


def choose_parameters(
    module: nn.Module, settings: BackboneSettings, name: str, seed: int
) -> dict[str, nn.Parameter]:
    """The weights of a backbone that are trained, by name; adapters are put in by `seed`.

    UsageError if it has no linear layer for adapters, fewer blocks, or `peft` is not installed.
    """
    module.requires_grad_(False)
    if settings.train == "adapters":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _add_adapters(module, settings.rank, name)
    else:
        parameters = list(module.parameters())
        first = 0
        if settings.train != "all":
            count = int(str(settings.train).removeprefix("last:"))
            found = blocks(module)
            if count > len(found):
                cause = f"last:{count}: {name} has {len(found)} blocks; all trains every weight"
                raise UsageError(cause, place="backbone.train")
            begin = next(found[-count].parameters())
            first = next(k for k, p in enumerate(parameters) if p is begin)
        for parameter in parameters[first:]:
            parameter.requires_grad_(True)
    return {key: p for key, p in module.named_parameters() if p.requires_grad}


def blocks(module: nn.Module) -> list[nn.Module]:
    """The blocks of a network, in order: the layers of a chain, or of all its lists of layers."""
    if isinstance(module, nn.Sequential):
        lists: list[nn.Module] = [module]
    else:
        lists = []
        inner: list[str] = []
        for path, part in module.named_modules():
            if isinstance(part, nn.ModuleList) and not path.startswith(tuple(inner)):
                lists.append(part)
                inner.append(f"{path}.")
    return [block for each in lists for block in each.children() if list(block.parameters())]


@naming_extras()
def _add_adapters(module: nn.Module, rank: int, name: str) -> None:
    """Put a low-rank adapter beside each linear layer of the blocks, which starts as nothing."""
    inside = {id(part) for block in blocks(module) for part in block.modules()}
    # A subclass may hand its weight to a function, past the adapter.
    linear = [n for n, m in module.named_modules() if type(m) is nn.Linear and id(m) in inside]
    if not linear:
        cause = f"adapters: {name} has no linear layers that take any; last:N or all trains it"
        raise UsageError(cause, place="backbone.train")
    from peft import LoraConfig, inject_adapter_in_model

    # Scaled by alpha / rank = 1.
    with warnings.catch_warnings(action="ignore"):
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=linear), module)


@contextmanager
def merged(module: nn.Module) -> Iterator[None]:
    """Within the block adapters are added to the weights, as in a backbone that is loaded."""
    adapted: list[Any] = [part for part in module.modules() if hasattr(part, "get_base_layer")]
    saved = [part.get_base_layer().weight.detach().clone() for part in adapted]
    for part in adapted:
        part.merge()
    try:
        yield
    finally:
        for part, before in zip(adapted, saved, strict=True):
            part.unmerge()
            # Subtracting what was added would leave a rounding error.
            part.get_base_layer().weight.data.copy_(before)


def set_training(module: nn.Module, training: bool) -> None:
    """As `Module.train`, without the statistics of batch normalisation."""
    module.train(training)
    for part in module.modules():
        if isinstance(part, _FROZEN):
            part.eval()
