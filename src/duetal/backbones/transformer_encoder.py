"""Video transformers, image classifiers and sound models of `transformers`, as backbones.

A model with a classifier gives what the classifier reads, so that the features are those that its
classes were told apart by; one without gives the mean of its tokens, or its class token. One with a
text encoder gives its embedding in their common space.
"""

import json
import warnings
from functools import partial
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn

from duetal.backbones.preprocessing import Preprocessing, preprocessing
from duetal.backbones.presets import Pooling, Preset
from duetal.backbones.pretrained import Pretrained, drop_text, find_pretrained
from duetal.backbones.protocol import Backbone, Reads, WeightsIdentity

#: Files that say how pictures are prepared, the first that is there; and the parts that may say it.
_PROCESSORS = (
    "video_preprocessor_config.json",
    "preprocessor_config.json",
    "processor_config.json",
)
_PARTS = ("video_processor", "image_processor")
_IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}
_HALF = {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.5, 0.5, 0.5)}
_SIDE_224 = {"size": 224, "crop_size": 224, "do_center_crop": True}
#: What a family's processor does where its file does not say, by the library's classes.
_USUAL: dict[str, dict[str, Any]] = {
    "videomae": _SIDE_224 | _HALF,
    "timesformer": _SIDE_224 | _IMAGENET,
    "vivit": _SIDE_224 | _HALF | {"size": 256, "rescale_factor": 1 / 127.5, "offset": True},
    "vjepa2": _SIDE_224 | _IMAGENET | {"crop_size": 256},
    "hiera": _SIDE_224 | _IMAGENET | {"size": 256, "resample": 3},
    "xclip": _SIDE_224 | _HALF,
    "videoprism": {"resample": 3},
}


class _Frozen(Backbone):
    """A frozen model of one of the families."""

    def __init__(self, model: nn.Module, preset: Preset, identity: WeightsIdentity):
        self.model, self.identity = model, identity
        self._preset = preset

    @property
    def module(self) -> nn.Module:
        """The model."""
        return self.model

    def to(self, device: torch.device) -> object:
        """Move the weights to a device."""
        return self.model.to(device)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype


class TransformerEncoder(_Frozen):
    """One that reads pictures; ValueError if it makes no feature of a snippet.

    It is tried with `trial` frames, which tell the dimension.
    """

    def __init__(
        self,
        model: nn.Module,
        preset: Preset,
        pictures: Preprocessing,
        trial: int,
        identity: WeightsIdentity,
    ):
        super().__init__(model, preset, identity)
        self._pictures = pictures
        # One that reads single pictures has no dimension of time.
        self._is_image = preset.input.frames == 1
        blank = torch.tensor(self.prepare(np.zeros((32, 32, 3), np.uint8)))
        with torch.no_grad():
            self.dim = self.encode(blank.expand(1, trial, *blank.shape)).shape[1]

    def prepare(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of any size -> (h, w, 3) as the model's pictures were resized and cut."""
        return self._pictures.resized(picture)

    def encode(self, batch: Tensor) -> Tensor:
        """Features (B, C) float32 of prepared pictures (B, frames, h, w, 3)."""
        pixels = self._pictures.normalized(batch, self._dtype)
        return pooled(self.model, self._preset, pixels[:, 0] if self._is_image else pixels)


class SoundEncoder(_Frozen):
    """One that hears, and its feature extractor, which makes spectrograms with NumPy.

    ValueError if it makes no feature of a sound.
    """

    def __init__(self, model: nn.Module, preset: Preset, extractor: Any, identity: WeightsIdentity):
        super().__init__(model, preset, identity)
        self._extractor = extractor
        if isinstance(extractor, transformers.ClapFeatureExtractor):
            log_mel = partial(_log_mel, extractor)
            extractor._np_extract_fbank_features = log_mel  # type: ignore[method-assign]
        self.sound_rate = int(extractor.sampling_rate)
        frames = getattr(extractor, "max_length", 0)
        # AST's frames are 10 ms apart.
        self.longest = float(getattr(extractor, "max_length_s", frames / 100))
        if not (0 < self.longest <= 60 and 1000 <= self.sound_rate <= 192_000):
            raise ValueError(f"{self.longest:g} s of sound at {self.sound_rate} samples a second")
        silence = self.prepare(np.zeros(int(self.longest * self.sound_rate), np.float32))
        with torch.no_grad():
            self.dim = self.encode(silence[None, None]).shape[1]

    def prepare(self, samples: NDArray[np.float32]) -> Tensor:
        """(n,) samples at `sound_rate` in [-1, 1] -> a spectrogram, padded by the model's rule."""
        found = self._extractor(samples, sampling_rate=self.sound_rate, return_tensors="pt")
        values: Tensor = found[self._preset.argument][0].float()
        return values

    def encode(self, batch: Tensor) -> Tensor:
        """Features (B, C) float32 of spectrograms (B, 1, ...)."""
        return pooled(self.model, self._preset, batch[:, 0].to(self._dtype))


def _log_mel(extractor: Any, samples: NDArray[Any], mel_filters: NDArray[Any]) -> NDArray[Any]:
    """CLAP's spectrogram (frames, bands) in decibels, as its extractor's method computes it.

    That takes the frames one by one, which is half of the time that CLAP's features need beside
    its network.
    """
    size, hop = extractor.fft_window_size, extractor.hop_length
    window = torch.hann_window(size, dtype=torch.float64)
    wave = torch.from_numpy(samples).double()
    spectrum = torch.stft(wave, size, hop, window=window, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    decibels = 10 * (power.T @ torch.from_numpy(mel_filters)).clamp(min=1e-10).log10()
    return decibels.float().numpy()


def pooled(model: nn.Module, preset: Preset, values: Tensor) -> Tensor:
    """What a model says of its input, as one feature (B, C) float32 of each; ValueError if none."""
    inputs: dict[str, Any] = {preset.argument: values}
    if preset.has_text:
        if preset.input.reads is Reads.SOUND:
            # No window is longer than what the model reads.
            longer = torch.zeros(len(values), 1, dtype=torch.bool, device=values.device)
            output = model.get_audio_features(**inputs, is_longer=longer)  # type: ignore[operator]
        else:
            output = model.get_video_features(**inputs)  # type: ignore[operator]
        features: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    elif hasattr(model, "classifier"):
        # It is replaced by the identity.
        features = model(**inputs).logits
    else:
        skipped = {"skip_predictor": True} if preset.model_type == "vjepa2" else {}
        output = model(**inputs, **skipped)
        tokens: Tensor = output.last_hidden_state
        if preset.pooling is Pooling.POOLER:
            features = output.pooler_output
        else:
            features = tokens[:, 0] if preset.pooling is Pooling.CLASS_TOKEN else tokens.mean(dim=1)
    # VideoPrism's pooling keeps a dimension of one query.
    features = features[:, 0] if features.ndim == 3 and features.shape[1] == 1 else features
    if features.ndim != 2:
        raise ValueError("it does not give one feature a snippet")
    return features.float()


def load_transformer(preset: Preset, source: str) -> TransformerEncoder | SoundEncoder:
    """Load a model of a family from a folder or the hub; weights are read from safetensors only.

    Raises:
        DuetalError: it can't be loaded, its weights are damaged or incomplete, it is of another
            family, or its text features have another dimension.
    """
    found = find_pretrained(source, f"{preset.name} model")
    model = load_model(found, preset)
    extractor = None
    if preset.input.reads is Reads.SOUND:
        # AST's own filters are too narrow at the bottom, as they were when it was trained.
        with warnings.catch_warnings(action="ignore"):
            extractor = found.load(transformers.AutoFeatureExtractor)
    with found.explaining(f"{type(model).__name__} cannot be used"):
        identity = found.identity(type(model).__name__)
        if extractor is not None:
            encoder: TransformerEncoder | SoundEncoder = SoundEncoder(
                model, preset, extractor, identity
            )
        else:
            encoder = _seeing(found, model, preset, identity)
        if preset.has_text:
            drop_text(found, model, encoder.dim)
    return encoder


def _seeing(
    found: Pretrained, model: Any, preset: Preset, identity: WeightsIdentity
) -> TransformerEncoder:
    config = getattr(model.config, "vision_config", model.config)
    # V-JEPA 2 takes any number of frames, and minutes for its usual one.
    key = "tubelet_size" if preset.model_type == "vjepa2" else preset.frames_key
    frames = int(getattr(config, key)) if key else 1
    pictures = preprocessing(_processor(found, preset, config))
    return TransformerEncoder(model, preset, pictures, frames, identity)


def load_model(found: Pretrained, preset: Preset) -> Any:
    """The model, frozen; its classifier, where it has one, hands on what it reads."""
    config = found.config()
    if config.model_type != preset.model_type:
        cause = f"its model type is {config.model_type!r}; {preset.name} is {preset.model_type!r}"
        raise found.error(cause)
    architectures = getattr(config, "architectures", None)
    classifies = isinstance(architectures, list) and preset.classifier in architectures
    name = preset.classifier if preset.classifier and classifies else preset.base
    model = found.load_model(getattr(transformers, name))
    if classifies and preset.classifier:
        model.classifier = nn.Identity()
    # V-JEPA 2's predictor takes no part.
    inner = getattr(model, "vjepa2", model)
    if hasattr(inner, "predictor"):
        inner.predictor = None
    return model


def _processor(found: Pretrained, preset: Preset, config: Any) -> dict[str, Any]:
    """How pictures are prepared, by the model's own file and the family's usual values."""
    family = preset.name.removesuffix("-lvt")
    files = [found.folder / name for name in _PROCESSORS if (found.folder / name).is_file()]
    stated: dict[str, Any] = json.loads(files[0].read_bytes()) if files else {}
    part = next((stated[name] for name in _PARTS if name in stated), stated)
    merged = _USUAL[family] | {key: value for key, value in part.items() if value is not None}
    if family == "videoprism":
        # Its processor sets these, whatever the file says.
        size = config.image_size
        height, width = (size, size) if isinstance(size, int) else size
        size = {"height": height, "width": width}
        return merged | {"size": size, "do_normalize": False, "do_center_crop": False}
    if not files:
        raise found.error(f"no {_PROCESSORS[1]}, which says how its pictures are prepared")
    if family == "vjepa2":
        # Its processor follows the crop, whatever size the file says.
        crop = merged["crop_size"]
        merged["size"] = int((crop if isinstance(crop, int) else crop["height"]) * 256 / 224)
    return merged
