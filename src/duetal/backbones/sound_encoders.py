"""Audio Spectrogram Transformer and CLAP: features of the sound around each snippet."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duetal.backbones.presets import Preset
from duetal.backbones.pretrained import drop_text, find_pretrained
from duetal.backbones.protocol import Backbone, WeightsIdentity
from duetal.backbones.transformer_encoder import load_model, pooled


class SoundEncoder(Backbone):
    """A frozen sound model and its feature extractor, which makes spectrograms with NumPy.

    ValueError if it makes no feature of a sound.
    """

    def __init__(self, model: nn.Module, preset: Preset, extractor: Any, identity: WeightsIdentity):
        self.model, self.identity = model, identity
        self._preset, self._extractor = preset, extractor
        self.sound_rate = int(extractor.sampling_rate)
        frames = getattr(extractor, "max_length", 0)
        # AST's frames are 10 ms apart.
        self.longest = float(getattr(extractor, "max_length_s", frames / 100))
        if not (0 < self.longest <= 60 and 1000 <= self.sound_rate <= 192_000):
            raise ValueError(f"{self.longest:g} s of sound at {self.sound_rate} samples a second")
        silence = self.prepare(np.zeros(int(self.longest * self.sound_rate), np.float32))
        with torch.no_grad():
            self.dim = self.encode(silence[None, None]).shape[1]

    def to(self, device: torch.device) -> object:
        """Move the weights to a device."""
        return self.model.to(device)

    def prepare(self, samples: NDArray[np.float32]) -> Tensor:
        """(n,) samples at `sound_rate` in [-1, 1] -> a spectrogram, padded by the model's rule."""
        found = self._extractor(samples, sampling_rate=self.sound_rate, return_tensors="pt")
        values: Tensor = found[self._preset.argument][0].float()
        return values

    def encode(self, batch: Tensor) -> Tensor:
        """Features (B, C) float32 of spectrograms (B, 1, ...)."""
        values = batch[:, 0].to(next(self.model.parameters()).dtype)
        return pooled(self.model, self._preset, values)


def load_sound_encoder(preset: Preset, source: str) -> SoundEncoder:
    """Load a model of a family from a folder or the hub; weights are read from safetensors only.

    Raises:
        DuetalError: it can't be loaded, its weights are damaged or incomplete, it is of another
            family, or its text features have another dimension.
    """
    from transformers import AutoFeatureExtractor

    found = find_pretrained(source, f"{preset.name} model")
    model = load_model(found, preset)
    # AST's own filters are too narrow at the bottom, as they were when it was trained.
    with warnings.catch_warnings(action="ignore"):
        extractor = found.load(AutoFeatureExtractor)
    architecture = type(model).__name__
    with found.explaining(f"{architecture} cannot be used"):
        encoder = SoundEncoder(model, preset, extractor, found.identity(architecture))
        if preset.has_text:
            drop_text(found, model, encoder.dim)
    return encoder
