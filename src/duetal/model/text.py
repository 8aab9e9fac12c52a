"""The frozen text encoder of CLIP or SigLIP, with learnable prompt vectors around each name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from duetal.backbones.pretrained import Pretrained, find_pretrained, quiet
from duetal.core.annotations import display_name
from duetal.core.errors import DuetalError, UsageError

#: The text models that prompts can be laid into, by the `model_type` of their configuration.
#: MetaCLIP's is "clip".
TEXT_MODELS = {
    "clip": "CLIPTextModelWithProjection",
    "clip_text_model": "CLIPTextModelWithProjection",
    "metaclip_2": "MetaClip2TextModelWithProjection",
    "metaclip_2_text_model": "MetaClip2TextModelWithProjection",
    "siglip": "SiglipTextModel",
    "siglip_text_model": "SiglipTextModel",
    "siglip2": "Siglip2TextModel",
    "siglip2_text_model": "Siglip2TextModel",
}


class PromptedTextEncoder(nn.Module):
    """Text features of all classes, as a function of the prompt vectors.

    Each class is read as `[SOS] p₁…pₘ name pₘ₊₁…pₙ [EOT]` (paper's supplement: 16 + 16 vectors):
    its token sequence carries placeholders where the prompts go, and a hook on the token embedding
    lays the prompts over them. The library's own forward does all the rest (positions, causal mask,
    pooling at EOT's shifted place, projection), so without prompts the result is the library's.
    SigLIP has no SOS, pads every text to one length and pools at its last place.

    Args:
        model: a `transformers` text model that returns `text_embeds`, or its features as
            `pooler_output`; it is frozen.
        plain_tokens: (K, L₀) token ids of the names alone, padded.
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
            return self._features(self.tokens)
        finally:
            self._laying = False

    @torch.no_grad()
    def plain(self) -> Tensor:
        """Text features (K, D) of the names without prompts, not normalised."""
        return self._features(self.plain_tokens)

    def _features(self, tokens: Tensor) -> Tensor:
        output = self.model(input_ids=tokens)
        features: Tensor = output.text_embeds if "text_embeds" in output else output.pooler_output
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
    """Load a text encoder of CLIP, MetaCLIP or SigLIP and wrap it in prompts for the classes.

    Args:
        source: a local folder or a hub name, of a text model or of a whole image-text model;
            weights are read from safetensors only.
        classes: class names, in the order of class indices.
        prompts_before: learnable vectors before the name.
        prompts_after: learnable vectors after the name.
        display_names: how to say a class, where `display_name` would say it badly.

    Raises:
        DuetalError: the encoder can't be loaded, or a class's name is too long for it.
    """
    found = find_pretrained(source, "text encoder")
    model = _text_model(found)
    tokenizer = _tokenizer(found)
    names = dict(display_names or {})
    said = [(label, names.get(label, display_name(label))) for label in classes]
    count = prompts_before + prompts_after
    # What is wrong with a configuration shows when it is used.
    with found.telling("cannot be used"):
        limit = int(model.config.max_position_embeddings)
        frame = _siglip_frame(tokenizer, limit) if _is_siglip(model) else _clip_frame(tokenizer)
        if None in (*frame.start, *frame.end, frame.pad):
            raise found.error("its tokenizer does not say how a text starts, ends or is filled up")
        sequences = _tokenize(found, tokenizer, said, frame, count, limit)
        plain, _ = _lay_out(sequences, frame, 0, 0)
        tokens, places = _lay_out(sequences, frame, prompts_before, prompts_after)
        if tokens.max() >= model.get_input_embeddings().num_embeddings:
            raise found.error("its tokenizer is of another model: it knows more tokens")
        encoder = PromptedTextEncoder(model, plain, tokens, places, count)
        encoder.plain()
    return encoder


def _text_model(found: Pretrained) -> Any:
    """The text model with its projection."""
    import transformers

    config = found.load(transformers.AutoConfig)
    if config.model_type not in TEXT_MODELS:
        raise found.error(
            f"prompts can be laid into CLIP, MetaCLIP and SigLIP, not {config.model_type!r}"
        )
    text_config = getattr(config, "text_config", config)
    if hasattr(config, "projection_dim"):
        # The part's own record of it is not used by the whole, and wrong in some.
        text_config.projection_dim = config.projection_dim
    model_class = getattr(transformers, TEXT_MODELS[config.model_type])
    return found.load_model(model_class, config=text_config)


def _tokenizer(found: Pretrained) -> Any:
    from transformers import AutoTokenizer

    try:
        return found.load(AutoTokenizer)
    except DuetalError as error:
        if isinstance(error.__cause__, ImportError):
            cause = 'SigLIP\'s tokenizer needs SentencePiece: pip install "duetal[siglip]"'
            raise UsageError(cause, file=found.source, place=found.role) from error
        raise


def _is_siglip(model: nn.Module) -> bool:
    return type(model).__name__.startswith("Siglip")


@dataclass(frozen=True)
class _Frame:
    """What stands around the words of a text.

    Args:
        start: token ids before the words.
        end: token ids after them.
        pad: fills a text up.
        length: of every text; 0 for the longest one's.
        left: the filling stands before the text.
    """

    start: list[int]
    end: list[int]
    pad: int
    length: int = 0
    left: bool = False


def _clip_frame(tokenizer: Any) -> _Frame:
    """`[SOS] … [EOT]`. What comes after EOT is not looked at, so EOT can fill."""
    end = tokenizer.eos_token_id
    return _Frame([tokenizer.bos_token_id], [end], pad=end)


def _siglip_frame(tokenizer: Any, length: int) -> _Frame:
    """What the tokenizer puts around a text.

    SigLIP was trained on texts of full length, without a mask: it looks at the filling as well.
    """
    words = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    places = range(len(whole) - len(words) + 1)
    before = next((i for i in places if whole[i : i + len(words)] == words), 0)
    return _Frame(
        whole[:before],
        whole[before + len(words) :],
        pad=tokenizer.pad_token_id,
        length=length,
        left=tokenizer.padding_side == "left",
    )


def _tokenize(
    found: Pretrained,
    tokenizer: Any,
    said: Sequence[tuple[str, str]],
    frame: _Frame,
    prompts: int,
    limit: int,
) -> list[list[int]]:
    """The token ids of what is said for each class (label, words), without marks."""
    marks = len(frame.start) + len(frame.end)
    sequences: list[list[int]] = []
    for label, words in said:
        ids = tokenizer(words, add_special_tokens=False)["input_ids"]
        if not ids:
            raise DuetalError(f"class {label!r} has no word in its name", file=found.source)
        taken = len(ids) + prompts + marks
        if taken > limit:
            raise DuetalError(
                f"class {label!r} ({words!r}) takes {len(ids)} tokens; with {prompts} prompt "
                f"vectors and {marks} marks that is {taken}, and the text encoder reads {limit}",
                file=found.source,
            )
        sequences.append(ids)
    return sequences


def _lay_out(
    sequences: Sequence[Sequence[int]], frame: _Frame, before: int, after: int
) -> tuple[Tensor, Tensor]:
    """Token ids `start … name … end`, filled up, and each prompt's place in them."""
    # Any ordinary token serves as placeholder: its embedding is replaced.
    placeholder = sequences[0][0]
    lines = [
        [*frame.start, *[placeholder] * before, *ids, *[placeholder] * after, *frame.end]
        for ids in sequences
    ]
    length = frame.length or max(map(len, lines))
    tokens = torch.full((len(lines), length), frame.pad, dtype=torch.long)
    places = torch.full((len(lines), length), -1, dtype=torch.long)
    for row, (ids, line) in enumerate(zip(sequences, lines, strict=True)):
        first = length - len(line) if frame.left else 0
        tokens[row, first : first + len(line)] = torch.tensor(line)
        prompts = first + len(frame.start)
        places[row, prompts : prompts + before] = torch.arange(before)
        behind = prompts + before + len(ids)
        places[row, behind : behind + after] = torch.arange(before, before + after)
    return tokens, places


def make_tiny_clip(folder: Path, *, dimension: int = 32, seed: int = 0) -> None:
    """Write a tiny CLIP of random weights, in the layout of a real one.

    It stands in for the download in tests, the demo and simulations: two layers in either encoder,
    byte-level tokens without merges, pictures of 32 x 32 pixels. Every other part of the program
    treats it as the real one, as text encoder and as image encoder.

    Args:
        folder: where to write; made if missing.
        dimension: D of the text and image features; even.
        seed: of the weights.
    """
    quiet()
    from transformers import CLIPImageProcessor, CLIPTokenizer

    letters = _byte_letters()
    vocabulary = [*letters, *(letter + "</w>" for letter in letters)]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    ids = {token: index for index, token in enumerate(vocabulary)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _tiny_clip(ids, dimension)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    CLIPTokenizer(vocab=ids, merges=[]).save_pretrained(folder)
    side = model.config.vision_config.image_size
    CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    ).save_pretrained(folder)


def _tiny_clip(ids: Mapping[str, int], dimension: int) -> Any:
    """A whole CLIP of random weights."""
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
    """Draw larger weights than the library does.

    Its own are so small that all texts come out alike, and all pictures; a trained encoder tells
    them apart, and so must its stand-in.
    """
    for name, parameter in model.named_parameters():
        if "token_embedding" in name or "position_embedding" in name:
            parameter.data.normal_(std=0.3)
        elif parameter.ndim >= 2:
            parameter.data.normal_(std=2 * parameter[0].numel() ** -0.5)


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
