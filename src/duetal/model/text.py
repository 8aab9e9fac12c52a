"""The frozen CLIP text encoder, with learnable prompt vectors around each category name."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from duetal.core.errors import DuetalError
from duetal.core.names import display_name


class PromptedTextEncoder(nn.Module):
    """Text features of all classes, as a function of the prompt vectors.

    Each class is read as `[SOS] p₁…pₘ name pₘ₊₁…pₙ [EOT]` (paper's supplement: 16 + 16 vectors):
    its token sequence carries placeholders where the prompts go, and a hook on the token embedding
    lays the prompts over them. The library's own forward does all the rest (positions, causal mask,
    pooling at EOT's shifted place, projection), so without prompts the result is the library's.

    Args:
        model: a `transformers` text model that returns `text_embeds`; it is frozen.
        plain_tokens: (K, L₀) token ids of the names alone, padded with EOT.
        tokens: (K, L) token ids, placeholders included.
        prompt_places: (K, L), the index of the prompt vector at each place, -1 elsewhere.
        prompts: number of prompt vectors.
    """

    plain_tokens: Tensor
    tokens: Tensor
    prompt_places: Tensor

    def __init__(
        self,
        model: nn.Module,
        plain_tokens: Tensor,
        tokens: Tensor,
        prompt_places: Tensor,
        prompts: int,
    ):
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.register_buffer("plain_tokens", plain_tokens, persistent=False)
        self.register_buffer("tokens", tokens, persistent=False)
        self.register_buffer("prompt_places", prompt_places, persistent=False)
        self._laying = False
        embedding = model.get_input_embeddings()  # type: ignore[operator]
        self.width: int = embedding.weight.shape[1]
        # Paper's supplement: N(0, 0.01), read as a standard deviation of 0.01.
        self.prompts = nn.Parameter(torch.empty(prompts, self.width).normal_(std=0.01))
        embedding.register_forward_hook(self._lay_prompts)

    def train(self, mode: bool = True) -> "PromptedTextEncoder":
        """Training never reaches the frozen encoder."""
        super().train(mode)
        self.model.eval()
        return self

    def _lay_prompts(self, module: nn.Module, inputs: Any, embedded: Tensor) -> Tensor:
        if not self._laying or not len(self.prompts):
            return embedded
        places = self.prompt_places.unsqueeze(-1)
        laid = self.prompts[self.prompt_places.clamp(min=0)].to(embedded.dtype)
        return torch.where(places >= 0, laid, embedded)

    def forward(self) -> Tensor:
        """Text features (K, D) of the prompted names, not normalised."""
        self._laying = True
        try:
            features: Tensor = self.model(input_ids=self.tokens).text_embeds
        finally:
            self._laying = False
        return features

    @torch.no_grad()
    def plain(self) -> Tensor:
        """Text features (K, D) of the names without prompts, not normalised."""
        features: Tensor = self.model(input_ids=self.plain_tokens).text_embeds
        return features


class StoredText(nn.Module):
    """Text features (K, D) of a trained branch, kept so that inference needs no text encoder."""

    features: Tensor

    def __init__(self, features: Tensor):
        super().__init__()
        self.register_buffer("features", features)

    def forward(self) -> Tensor:
        """Text features (K, D), not normalised."""
        return self.features

    def plain(self) -> Tensor:
        """Same shape; what they were without prompts is in the branch's checkpoint."""
        return self.features


def load_text_encoder(
    source: str,
    classes: Sequence[str],
    *,
    prompts_before: int = 16,
    prompts_after: int = 16,
    display_names: Mapping[str, str] | None = None,
) -> PromptedTextEncoder:
    """Load a CLIP text encoder and wrap it in prompts for the given classes.

    Args:
        source: a local folder or a hub name; weights are read from safetensors only.
        classes: class names, in the order of class indices.
        prompts_before: learnable vectors before the name.
        prompts_after: learnable vectors after the name.
        display_names: how to say a class, where `display_name` would say it badly.

    Raises:
        DuetalError: the encoder can't be loaded, or a class's name is too long for it.
    """
    model, tokenizer = _load(source)
    names = dict(display_names or {})
    said = [names.get(label, display_name(label)) for label in classes]
    limit = int(model.config.max_position_embeddings)
    count = prompts_before + prompts_after
    sequences: list[list[int]] = []
    for label, words in zip(classes, said, strict=True):
        ids = tokenizer(words, add_special_tokens=False)["input_ids"]
        if len(ids) + count + 2 > limit:
            raise DuetalError(
                f"class {label!r} ({words!r}) takes {len(ids)} tokens; with {count} prompt vectors "
                f"and 2 marks that is {len(ids) + count + 2}, and the text encoder reads {limit}",
                file=source,
            )
        if not ids:
            raise DuetalError(f"class {label!r} has no word in its name", file=source)
        sequences.append(ids)
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    plain, _ = _lay_out(sequences, start, end, 0, 0)
    tokens, places = _lay_out(sequences, start, end, prompts_before, prompts_after)
    return PromptedTextEncoder(model, plain, tokens, places, count)


def _lay_out(
    sequences: Sequence[Sequence[int]], start: int, end: int, before: int, after: int
) -> tuple[Tensor, Tensor]:
    """Token ids `[start] … name … [end]`, padded with `end`, and each prompt's place in them."""
    length = max(len(ids) for ids in sequences) + before + after + 2
    tokens = torch.full((len(sequences), length), end, dtype=torch.long)
    places = torch.full((len(sequences), length), -1, dtype=torch.long)
    # Any ordinary token serves as placeholder: its embedding is replaced.
    placeholder = sequences[0][0]
    for row, ids in enumerate(sequences):
        line = [start, *[placeholder] * before, *ids, *[placeholder] * after, end]
        tokens[row, : len(line)] = torch.tensor(line)
        places[row, 1 : 1 + before] = torch.arange(before)
        behind = 1 + before + len(ids)
        places[row, behind : behind + after] = torch.arange(before, before + after)
    return tokens, places


def _load(source: str) -> tuple[Any, Any]:
    """The text model with its projection, and the tokenizer."""
    _hush()
    from transformers import AutoTokenizer, CLIPTextModelWithProjection

    if Path(source).is_absolute() and not Path(source).is_dir():
        raise DuetalError("no such folder", file=source, place="text encoder")
    try:
        loaded: Any = CLIPTextModelWithProjection.from_pretrained(
            source, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        model, told = loaded
        tokenizer = AutoTokenizer.from_pretrained(source)
    except Exception as error:  # the library raises whatever its layers raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DuetalError(
            f"cannot load a CLIP text encoder: {reason}", file=source, place="text encoder"
        ) from error
    # The library would fill the gap with random weights.
    for missing in sorted(told["missing_keys"]):
        raise DuetalError(
            f"no weights of a CLIP text encoder: {missing} is missing",
            file=source,
            place="text encoder",
        )
    return model, tokenizer


def _hush() -> None:
    """Keep the library's warnings and progress bars, which have no place in a log, to itself."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def make_tiny_clip(folder: Path, *, dimension: int = 32, seed: int = 0) -> None:
    """Write a tiny CLIP text encoder of random weights, in the layout of a real one.

    It stands in for the download in tests, the demo and simulations: two layers, byte-level
    tokens without merges. Every other part of the program treats it as the real one.

    Args:
        folder: where to write; made if missing.
        dimension: D of the text features.
        seed: of the weights.
    """
    _hush()
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

    letters = _byte_letters()
    vocabulary = [*letters, *(letter + "</w>" for letter in letters)]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    ids = {token: index for index, token in enumerate(vocabulary)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = CLIPTextConfig(
            vocab_size=len(ids),
            hidden_size=dimension,
            intermediate_size=2 * dimension,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            projection_dim=dimension,
            bos_token_id=ids["<|startoftext|>"],
            eos_token_id=ids["<|endoftext|>"],
            pad_token_id=ids["<|endoftext|>"],
        )
        model = CLIPTextModelWithProjection(config)
        # The library's initialisation is so small that all texts come out alike; a trained
        # encoder tells them apart, and so must its stand-in.
        for name, parameter in model.named_parameters():
            if "token_embedding" in name or "position_embedding" in name:
                parameter.data.normal_(std=0.3)
            elif parameter.ndim == 2:
                parameter.data.normal_(std=2 * parameter.shape[1] ** -0.5)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    CLIPTokenizer(vocab=ids, merges=[]).save_pretrained(folder)


def _byte_letters() -> list[str]:
    """The 256 printable characters by which byte-level BPE writes the bytes, in byte order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, spare = [], 0
    for byte in range(256):
        if byte in printable:
            letters.append(chr(byte))
        else:
            letters.append(chr(256 + spare))
            spare += 1
    return letters
