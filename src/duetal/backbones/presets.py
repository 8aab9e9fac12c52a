"""The families of backbones, each with the public model that its short name stands for.

A family is one record; a name of the hub or a folder belongs to the family that the `model_type`
of its `config.json` says. Nothing here imports PyTorch: the command line reads the records.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum, auto
from functools import partial
from typing import Any

from duetal.backbones.clip import CLIP
from duetal.backbones.i3d import FLOW, RGB
from duetal.backbones.pretrained import (
    is_fetched,
    is_hub_name,
    read_configuration,
    require_image_text,
)
from duetal.backbones.protocol import (
    Backbone,
    BackboneRecord,
    Input,
    OnDownload,
    Reads,
)
from duetal.core.errors import UsageError, unknown

#: The branches that a backbone can be named for, with the option that does.
OPTIONS = {"cbp": "--cbp", "vlp": "--vlp"}


class Pooling(StrEnum):
    """How a model's output becomes one feature."""

    HEAD = auto()  #: What its classifier reads; of one without: the mean of the tokens.
    CLASS_TOKEN = auto()  #: What its classifier reads; of one without: the first token.
    POOLER = auto()  #: What its classifier reads, also of one without.
    PROJECTED = auto()  #: Its embedding in the space that it shares with its text encoder.


@dataclass(frozen=True, slots=True)
class Preset:
    """A family, and the public model that is meant where the family alone is named."""

    name: str  #: Of the family, and of the stream of features.
    model_type: str  #: In the `config.json` of its models.
    hub: str  #: The public model.
    licence: str  #: Of its weights, by its page; SPDX.
    dim: int  #: C of its features.
    gflops: float  #: Of its network for a snippet: multiplications and additions, in 10^9.
    input: Input  #: What is read of a snippet.
    pooling: Pooling
    base: str = ""  #: The class of `transformers`; with a classifier, `classifier`.
    classifier: str = ""
    argument: str = "pixel_values"  #: By which the class takes its input.
    frames_key: str = ""  #: Where `config.json` says how many frames are read.

    @property
    def has_text(self) -> bool:
        """Whether its features can be compared with texts."""
        return self.pooling is Pooling.PROJECTED

    @property
    def kind(self) -> str:
        """What it reads, in a word."""
        if self.input.reads is Reads.SOUND:
            return "sound"
        return "pictures" if self.input.frames == 1 else "video"


def _video(frames: int, window: int = 16) -> Input:
    return Input(frames=frames, window=window, spread=True, crop=None)


_PICTURE = Input(frames=1, crop=None)
_VIDEOS = "pixel_values_videos"
#: Image-text models, which `clip` loads: model type and name agree unless given.
_IMAGE_TEXT = (
    Preset("clip", "clip", CLIP.weights, "MIT", 512, 35.1, _PICTURE, Pooling.PROJECTED),
    Preset("metaclip2", "metaclip_2", "facebook/metaclip-2-worldwide-huge-quickgelu",
           "CC-BY-NC-4.0", 1024, 334.6, _PICTURE, Pooling.PROJECTED),
    Preset("siglip2", "siglip", "google/siglip2-base-patch16-224", "Apache-2.0", 768, 35.4,
           _PICTURE, Pooling.PROJECTED),
    Preset("siglip", "siglip", "google/siglip-base-patch16-224", "Apache-2.0", 768, 35.4,
           _PICTURE, Pooling.PROJECTED),
)  # fmt: skip
_OTHERS = (
    Preset("videomae", "videomae", "MCG-NJU/videomae-base-finetuned-kinetics", "CC-BY-NC-4.0",
           768, 360.7, _video(16), Pooling.HEAD, "VideoMAEModel",
           "VideoMAEForVideoClassification", frames_key="num_frames"),
    Preset("vjepa2", "vjepa2", "facebook/vjepa2-vitl-fpc64-256", "MIT", 1024, 11570.6,
           _video(64, 64), Pooling.HEAD, "VJEPA2Model", "VJEPA2ForVideoClassification",
           _VIDEOS, "frames_per_clip"),
    Preset("videoprism", "videoprism_vision_model", "google/videoprism-base-f16r288",
           "Apache-2.0", 768, 973.3, _video(16), Pooling.HEAD, "VideoPrismVisionModel",
           "VideoPrismForVideoClassification", _VIDEOS, "num_frames"),
    Preset("timesformer", "timesformer", "facebook/timesformer-base-finetuned-k400",
           "CC-BY-NC-4.0", 768, 391.7, _video(8), Pooling.CLASS_TOKEN, "TimesformerModel",
           "TimesformerForVideoClassification", frames_key="num_frames"),
    Preset("vivit", "vivit", "google/vivit-b-16x2-kinetics400", "MIT", 768, 903.1,
           _video(32, 32), Pooling.CLASS_TOKEN, "VivitModel", "VivitForVideoClassification",
           frames_key="num_frames"),
    Preset("hiera", "hiera", "facebook/hiera-base-224-in1k-hf", "CC-BY-NC-4.0", 768, 18.7,
           _PICTURE, Pooling.HEAD, "HieraModel", "HieraForImageClassification"),
    Preset("ast", "audio-spectrogram-transformer", "MIT/ast-finetuned-audioset-10-10-0.4593",
           "BSD-3-Clause", 768, 261.0, Input(Reads.SOUND, frames=1, crop=None, seconds=1.92),
           Pooling.POOLER, "ASTModel", "ASTForAudioClassification", "input_values"),
    Preset("xclip", "xclip", "microsoft/xclip-base-patch16", "MIT", 512, 282.2, _video(8),
           Pooling.PROJECTED, "XCLIPModel", frames_key="num_frames"),
    Preset("videoprism-lvt", "videoprism", "google/videoprism-lvt-base-f16r288", "Apache-2.0",
           768, 1192.0, _video(16), Pooling.PROJECTED, "VideoPrismClipModel", argument=_VIDEOS,
           frames_key="num_frames"),
    Preset("clap", "clap", "laion/clap-htsat-unfused", "Apache-2.0", 512, 11.8,
           Input(Reads.SOUND, frames=1, crop=None, seconds=1.92), Pooling.PROJECTED, "ClapModel",
           argument="input_features"),
)  # fmt: skip
#: The families of `transformers` by short name; I3D's two networks are records of their own.
PRESETS: Mapping[str, Preset] = {one.name: one for one in (*_IMAGE_TEXT, *_OTHERS)}
#: Both networks of I3D by one name.
I3D = "i3d"
#: `Preset.gflops` by name; of I3D's both networks, whose flow takes longer.
GFLOPS = {I3D: 111.2} | {one.name: one.gflops for one in PRESETS.values()}
#: Core-seconds that TV-L1 flow takes for a frame of 341 x 256 pixels (`docs/speed.md`).
FLOW_SECONDS = 0.052


def choose(named: str, branch: str) -> tuple[BackboneRecord, ...]:
    """The backbones that a name means for a branch, "cbp" or "vlp".

    `named` is "i3d" or a name of `PRESETS`, a name of the hub, or a folder; a folder that is called
    like a preset is named "./NAME".

    Raises:
        UsageError: a model without a text encoder for VLP; a model of no family.
        DuetalError: no such model, or it can't be reached; for VLP, of no family and no image-text
            model.
    """
    option = OPTIONS[branch]
    if named == I3D and branch == "cbp":
        return RGB, FLOW
    preset = next((one for one in PRESETS.values() if named in (one.name, one.hub)), None)
    frames = None
    if preset is None:
        if "/" not in named and "\\" not in named and not named.startswith("."):
            known = [*PRESETS, *([I3D] if branch == "cbp" else [])]
            hint = f"{unknown('backbone', named, known)}; a folder is named ./{named}"
            raise UsageError(hint, place=option)
        config = read_configuration(named, option)
        preset = _family(config, named, branch)
        if preset is None:
            require_image_text(named, option)
            return (replace(CLIP, weights=named, option=option),)
        frames = _frames(config, preset)
    if branch == "vlp" and not preset.has_text:
        able = ", ".join(one.name for one in PRESETS.values() if one.has_text)
        cause = f"{preset.name} has no text encoder, which VLP needs; those with one: {able}"
        raise UsageError(cause, file=named, place=option)
    weights = preset.hub if named == preset.name else named
    return (_record(preset, branch, weights, frames),)


def choose_all(
    named: Mapping[str, Sequence[str]], weights: Mapping[str, str]
) -> list[BackboneRecord]:
    """The backbones that are named by branch; of a branch for which none is, the usual ones.

    `weights` are those of I3D and CLIP that are given, by name. Raises as `choose`, and UsageError
    if two backbones make features of one name, or the weights of one that is not used are given.
    """
    records: list[BackboneRecord] = []
    for branch in OPTIONS:
        found = [record for name in named.get(branch, ()) for record in choose(name, branch)]
        records += found or [one for one in (RGB, FLOW, CLIP) if one.branch == branch]
    names = [record.name for record in records]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two backbones would make the {name} features of one store")
    for record in (RGB, FLOW, CLIP):
        if record.name in weights and record.name not in names:
            raise UsageError(f"{record.option}: the {record.name} features are not extracted")
    return records


def known_record(name: str, described: Any = None) -> BackboneRecord:
    """The record of a stream, as a store describes it; KeyError for a name of no backbone."""
    described = described if isinstance(described, Mapping) else {}
    for record in (RGB, FLOW, CLIP):
        if record.name == name:
            return replace(record, branch=described.get("branch", record.branch))
    preset = PRESETS[name]
    usual = "vlp" if preset.has_text else "cbp"
    return _record(preset, described.get("branch", usual), preset.hub, described.get("frames"))


def _family(config: Mapping[str, Any], named: str, branch: str) -> Preset | None:
    """The family of a configuration; None for an image-text model that `clip` may load."""
    model_type = config.get("model_type")
    families = [one for one in PRESETS.values() if one.model_type == model_type]
    # SigLIP 2 has the type of SigLIP; the name tells which of them is the nearest.
    family = max(families, key=lambda one: len(one.name) * (one.name in named), default=None)
    if family is None and branch == "cbp":
        types = ", ".join(dict.fromkeys(one.model_type for one in PRESETS.values()))
        cause = f"its model type is {model_type!r}; those that are read: {types}"
        if "auto_map" in config:
            cause += ". It wants to run code that comes with it, which is never run"
        raise UsageError(cause, file=named, place=OPTIONS[branch])
    return family


def _frames(config: Mapping[str, Any], preset: Preset) -> int | None:
    """How many frames a model reads; None for the family's usual number."""
    if not preset.frames_key:
        return None
    part = config.get("vision_config") or config
    count = part.get(preset.frames_key) if isinstance(part, Mapping) else None
    return count if isinstance(count, int) and 0 < count <= 1024 else None


def _record(preset: Preset, branch: str, weights: str, frames: int | None) -> BackboneRecord:
    read = preset.input
    if frames is not None and frames != read.frames:
        read = replace(read, frames=frames, window=max(CLIP.input.window, frames))
    if preset in _IMAGE_TEXT:
        record = replace(CLIP, name=preset.name, branch=branch, weights=weights)
        return replace(record, option=OPTIONS[branch])
    return BackboneRecord(
        name=preset.name,
        branch=branch,
        option=OPTIONS[branch],
        subject=preset.name,
        accepts="a preset, a hub name or a folder",
        weights=weights,
        input=read,
        load=partial(_load, preset),
        is_published=is_hub_name,
        is_at_hand=is_fetched,
    )


def _load(preset: Preset, source: str, on_download: OnDownload | None = None) -> Backbone:
    """Load a model of a preset's family; the hub's client downloads, and reports nothing."""
    from duetal.backbones.transformer_encoder import load_transformer

    return load_transformer(preset, source)
