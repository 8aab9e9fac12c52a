"""Tiny models of every family with random weights, to stand in for those of the hub in tests."""

from pathlib import Path
from typing import Any

import torch

from duetal.backbones.presets import PRESETS
from duetal.backbones.pretrained import quiet
from duetal.simulation.tiny_clip import byte_letters, clip_tokenizer

_TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_VIDEO = _TOWER | {"image_size": 32, "num_labels": 5}
_PRISM = {"tubelet_size": [1, 8, 8], "num_spatial_layers": 1, "num_temporal_layers": 1}
_PRISM |= {key: value for key, value in _VIDEO.items() if key != "num_hidden_layers"}
_WORDS = _TOWER | {"vocab_size": 300, "max_position_embeddings": 64}
_IMAGE_TEXT = {
    "text_config": _WORDS | {
        "vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513,
    },
    "vision_config": _TOWER | {"image_size": 32, "patch_size": 16},
}  # fmt: skip
#: By family: the class of the configuration, and what makes it small.
TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "clip": ("CLIPConfig", _IMAGE_TEXT | {"projection_dim": 24}),
    "metaclip2": ("MetaClip2Config", _IMAGE_TEXT | {"projection_dim": 24}),
    "siglip2": ("SiglipConfig", _IMAGE_TEXT),
    "siglip": ("SiglipConfig", _IMAGE_TEXT),
    "videomae": ("VideoMAEConfig", _VIDEO | {"patch_size": 16, "num_frames": 4}),
    "vjepa2": ("VJEPA2Config", {
        "crop_size": 32, "patch_size": 16, "frames_per_clip": 8, "hidden_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_pooler_layers": 1,
        "pred_hidden_size": 24, "pred_num_attention_heads": 1, "pred_num_hidden_layers": 1,
        "num_labels": 5,
    }),
    "videoprism": ("VideoPrismVisionConfig", _PRISM | {"num_frames": 4}),
    "timesformer": ("TimesformerConfig", _VIDEO | {"patch_size": 16, "num_frames": 4}),
    "vivit": ("VivitConfig", _VIDEO | {"tubelet_size": [2, 16, 16], "num_frames": 8}),
    "hiera": ("HieraConfig", {
        "embed_dim": 8, "image_size": [32, 32], "depths": [1, 1], "num_heads": [1, 2],
        "num_query_pool": 1, "masked_unit_attention": [True, False],
        "masked_unit_size": [4, 4], "num_labels": 5,
    }),
    "ast": ("ASTConfig", _TOWER | {"max_length": 200, "num_labels": 5}),
    "xclip": ("XCLIPConfig", {
        "text_config": _WORDS | {"vocab_size": 514, "eos_token_id": 513},
        "vision_config": _TOWER | {
            "image_size": 32, "patch_size": 16, "num_frames": 4, "mit_hidden_size": 24,
            "mit_intermediate_size": 24, "mit_num_attention_heads": 2,
        },
        "projection_dim": 24, "prompt_num_attention_heads": 2,
    }),
    "videoprism-lvt": ("VideoPrismConfig", {
        "text_config": _WORDS, "vision_config": _PRISM | {"num_frames": 4},
    }),
    "clap": ("ClapConfig", {
        "text_config": _WORDS | {"projection_dim": 24},
        "audio_config": {
            "spec_size": 256, "num_mel_bins": 64, "patch_embeds_hidden_size": 8, "depths": [1, 1],
            "num_attention_heads": [1, 2], "window_size": 8, "hidden_size": 16,
            "projection_dim": 24, "enable_fusion": False, "num_classes": 5, "patch_size": 4,
            "patch_stride": [4, 4],
        },
        "projection_dim": 24, "hidden_size": 16,
    }),
}  # fmt: skip


def make_tiny_model(
    name: str, folder: Path, *, classifier: bool = True, seed: int = 0, real_size: bool = False
) -> None:
    """Write a tiny model of a family of `PRESETS`, in the layout of a real one; `folder` is made.

    `classifier` makes one that was trained to classify, where the family has such; `real_size` one
    as large as the library's usual one, for measurements.
    """
    quiet()
    import transformers

    preset, (config_name, small) = PRESETS[name], TINY[name]
    config = getattr(transformers, config_name)(**(_real_size(name) if real_size else small))
    base = preset.base or config_name.replace("Config", "Model")
    model_class = preset.classifier if classifier and preset.classifier else base
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, model_class)(config)
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                # The library's small weights give all pictures nearly one feature.
                parameter.data.normal_(std=1.5 * parameter[0].numel() ** -0.5)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    _processor(transformers, name, real_size=real_size).save_pretrained(folder)
    if preset.has_text:
        _tokenizer(transformers, name).save_pretrained(folder)


def _real_size(name: str) -> dict[str, Any]:
    """What makes the library's usual model as large as a base model on patches of 16 pixels."""
    return {"vision_config": {"patch_size": 16}} if name in ("clip", "metaclip2") else {}


def _tokenizer(transformers: Any, name: str) -> Any:
    """One that spells: each byte, or letter, is a token."""
    letters = [letter for _, letter in sorted(byte_letters().items())]
    if name == "clap":
        vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *letters]
        ids = {token: index for index, token in enumerate(vocabulary)}
        return transformers.RobertaTokenizer(vocab=ids, merges=[])
    if name == "videoprism-lvt":
        plain = [chr(code) for code in range(33, 127)]
        scored = [(mark, 0.0) for mark in ("<pad>", "</s>", "<unk>")]
        scored += [(letter, -2.0) for letter in ("▁", *plain)]
        return transformers.VideoPrismTokenizer(vocab=scored, extra_ids=0)
    return clip_tokenizer()


def _processor(transformers: Any, name: str, *, real_size: bool) -> Any:
    if name == "ast":
        return transformers.ASTFeatureExtractor(max_length=1024 if real_size else 200)
    if name == "clap":
        seconds = 10 if real_size else 2
        return transformers.ClapFeatureExtractor(max_length_s=seconds, truncation="rand_trunc")
    side = {"vjepa2": 256}.get(name, 224) if real_size else 32
    # V-JEPA 2 and ViViT are cut out of larger pictures.
    short = side * 8 // 7 if name in ("vjepa2", "vivit") else side
    square = {"height": side, "width": side}
    if name == "vivit":
        return transformers.VivitImageProcessor(size={"shortest_edge": short}, crop_size=square)
    if name.startswith("videoprism"):
        return transformers.CLIPImageProcessorPil(size=square, do_center_crop=False)
    if name.startswith("siglip"):
        return transformers.SiglipImageProcessorPil(size=square)
    if name in ("clip", "metaclip2"):
        return transformers.CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=square)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    return transformers.VideoMAEImageProcessorPil(
        size={"shortest_edge": short}, crop_size=square, image_mean=mean, image_std=std
    )
