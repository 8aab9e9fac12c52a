"""The backbone behind the features of a branch, where it is trained with the branch."""

from abc import abstractmethod

from torch import Tensor, nn

from duetal.core.weak_videos import FeatureReader
from duetal.method.sampling import MicroBatch


class TrainableBackbone(nn.Module):
    """Its parameters are the weights that are trained; `duetal.end_to_end` implements it."""

    @abstractmethod
    def compute(self, micro: MicroBatch) -> Tensor:
        """The features (B, T, C) of crops by the backbone as it is now, which require a gradient.

        Where snippets are padded, and in channels of other backbones, they are those of `micro`.
        """

    @abstractmethod
    def backward(self, micro: MicroBatch) -> None:
        """Add to the weights' gradients, from the gradient at the features of `compute`."""

    @abstractmethod
    def extract(self, stage: str) -> FeatureReader:
        """The branch's features of all videos by the backbone as it is now, kept for a stage."""
