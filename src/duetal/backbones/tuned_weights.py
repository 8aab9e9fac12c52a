"""The weights of a backbone that a run has trained, in place of those that it began with."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from duetal.backbones.protocol import Backbone
from duetal.core.errors import DuetalError

if TYPE_CHECKING:
    from torch import Tensor

#: In the names of an adapter's two factors, as `peft` gives them.
_DOWN, _UP = ".lora_A.default.weight", ".lora_B.default.weight"


@dataclass(frozen=True)
class TunedWeights:
    """Tensors by their names in `Backbone.module`; of an adapter its two factors."""

    tensors: "Mapping[str, Tensor]"

    @cached_property
    def sha256(self) -> str:
        """Of names and values, in hexadecimal."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def apply(self, backbone: Backbone) -> None:
        """Put them into a backbone with the weights that it began with.

        DuetalError if it is another backbone.
        """
        import torch

        module = backbone.module
        own = {} if module is None else dict(module.named_parameters())
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                layer = name.removesuffix(_DOWN)
                target = own.get(name if layer == name else f"{layer}.weight")
                if name.endswith(_UP):
                    continue
                value = tensor if layer == name else self.tensors[layer + _UP] @ tensor
                if target is None or target.shape != value.shape:
                    cause = f"not the backbone that was trained: no {tuple(value.shape)} {name}"
                    raise DuetalError(cause, file=backbone.identity.name)
                if layer == name:
                    target.copy_(value)
                else:
                    target.add_(value)
