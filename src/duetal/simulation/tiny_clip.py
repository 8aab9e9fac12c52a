"""A tiny CLIP of random weights, for tests, the demo and simulations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from duetal.backbones.pretrained import quiet


def make_tiny_clip(folder: Path, *, dimension: int = 32, seed: int = 0) -> None:
    """Write a tiny CLIP of random weights, in the layout of a real one; `folder` is made.

    It has two layers in either encoder, byte-level tokens without merges, and takes images of
    32 x 32 pixels. `dimension` is D of the text and image features; even.
    """
    quiet()
    from transformers import CLIPImageProcessor

    tokenizer = clip_tokenizer()
    ids = tokenizer.get_vocab()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _tiny_clip(ids, dimension)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    side = model.config.vision_config.image_size
    CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    ).save_pretrained(folder)


def byte_letters() -> dict[int, str]:
    """The letter by which each byte is written in vocabularies."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters: dict[int, str] = bytes_to_unicode()  # type: ignore[no-untyped-call]
    return letters


def clip_tokenizer() -> Any:
    """CLIP's tokenizer, each of whose tokens is a byte."""
    from transformers import CLIPTokenizer

    letters = [letter for _, letter in sorted(byte_letters().items())]
    vocabulary = [*letters, *(letter + "</w>" for letter in letters)]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: k for k, token in enumerate(vocabulary)}, merges=[])


def _tiny_clip(ids: Mapping[str, int], dimension: int) -> Any:
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModelWithProjection

    tower: dict[str, Any] = {
        "hidden_size": dimension,
        "intermediate_size": 2 * dimension,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": dimension,
    }
    text_config = CLIPTextConfig(
        **tower,
        vocab_size=len(ids),
        max_position_embeddings=77,
        bos_token_id=ids["<|startoftext|>"],
        eos_token_id=ids["<|endoftext|>"],
        pad_token_id=ids["<|endoftext|>"],
    )
    # Drawn first: a seed's texts are the same whatever the image encoder is.
    text = CLIPTextModelWithProjection(text_config)
    _amplify(text)
    model = CLIPModel(
        CLIPConfig(
            text_config=text_config.to_dict(),
            vision_config={**tower, "image_size": 32, "patch_size": 8},
            projection_dim=dimension,
        )
    )
    _amplify(model)
    model.load_state_dict(text.state_dict(), strict=False)
    return model


def _amplify(model: nn.Module) -> None:
    """Draw larger weights: the library's give all texts, and all images, nearly one feature."""
    for name, parameter in model.named_parameters():
        if "token_embedding" in name or "position_embedding" in name:
            parameter.data.normal_(std=0.3)
        elif parameter.ndim >= 2:
            parameter.data.normal_(std=2 * parameter[0].numel() ** -0.5)
