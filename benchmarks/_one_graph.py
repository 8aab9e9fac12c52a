"""The features of whole crops in one graph, which gradient caching is compared with."""

import torch
from torch import Tensor, nn

from duetal.end_to_end.branch_backbone import BranchBackbone
from duetal.method.sampling import MicroBatch


class OneGraph(nn.Module):
    """In the place of a `BranchBackbone`; the graph reaches its weights by itself."""

    def __init__(self, backbone: BranchBackbone):
        super().__init__()
        self.inner = backbone

    def compute(self, micro: MicroBatch) -> Tensor:
        """(B, T, C) of crops, all of whose channels are of backbones that are trained."""
        rows = []
        for crop in micro.crops:
            columns = []
            for part in self.inner._parts:
                name = self.inner._names[crop.video]
                read = part.frames.read(name, crop.start, crop.start + crop.length)
                columns.append(part.network.features(torch.from_numpy(read)))
            padding = (0, 0, 0, micro.features.shape[1] - crop.length)
            rows.append(nn.functional.pad(torch.cat(columns, dim=1), padding))
        return torch.stack(rows)

    def backward(self, micro: MicroBatch) -> None:
        """Nothing is left to do."""
