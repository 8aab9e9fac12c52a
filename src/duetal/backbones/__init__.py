"""The frozen networks that read videos for both branches, one file a family."""

from duetal.backbones.clip import CLIP
from duetal.backbones.i3d import FLOW, RGB
from duetal.backbones.protocol import BackboneRecord

#: Every stream of features that can be extracted, in the order in which they are joined.
BACKBONES: tuple[BackboneRecord, ...] = (RGB, FLOW, CLIP)
