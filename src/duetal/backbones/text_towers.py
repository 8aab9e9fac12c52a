"""Text towers of models that see or hear: loaded, and class names tokenized for prompts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn

from duetal.backbones.pretrained import Pretrained, find_pretrained
from duetal.core.annotations import display_name
from duetal.core.errors import DuetalError, UsageError

#: The text models that prompts can be inserted into, by the `model_type` of a whole model's
#: configuration; that of a text model alone ends in "_text_model". MetaCLIP's is "clip".
TEXT_MODELS = {
    "clip": "CLIPTextModelWithProjection",
    "metaclip_2": "MetaClip2TextModelWithProjection",
    "siglip": "SiglipTextModel",
    "siglip2": "Siglip2TextModel",
}
#: Whole models of whose text part the library has no class of its own.
WHOLE_MODELS = {"xclip": "XCLIPModel", "videoprism": "VideoPrismClipModel", "clap": "ClapModel"}
#: Families whose texts are followed by padding that their mask hides.
_MASKED = ("videoprism", "clap")
_CLIP_FRAMED = ("clip", "metaclip_2", "xclip")
#: Families whose texts are filled up to the longest that they read.
_FULL_LENGTH = ("siglip", "siglip2", "videoprism")


class TextPart(nn.Module):
    """The text encoder of a whole model, which has `get_text_features`."""

    def __init__(self, model: Any, pad: int | None, dropped: Collection[str]):
        super().__init__()
        #: The id that fills up texts, of a model that has to be told where they end.
        self.pad = pad
        self.config = model.config.text_config
        for name in dropped:
            setattr(model, name, None)
        self.model = model

    def get_input_embeddings(self) -> nn.Module:
        """The embedding of tokens."""
        embedding: nn.Module = self.model.text_model.get_input_embeddings()
        return embedding

    def forward(self, input_ids: Tensor) -> Any:
        """The whole model's output for texts, with their features as `pooler_output`."""
        mask = None if self.pad is None else (input_ids != self.pad).long()
        return self.model.get_text_features(input_ids=input_ids, attention_mask=mask)


@dataclass(frozen=True)
class ClassEmbeddings:
    """The embeddings of the classes, (K, D); no prompt changes them."""

    features: Tensor

    def plain_features(self) -> Tensor:
        """Text features (K, D) of the names, not normalised."""
        return self.features


@dataclass(frozen=True)
class TextTokens:
    """A frozen text encoder and the tokens of the classes."""

    #: A `transformers` text model that returns `text_embeds`, or its features as `pooler_output`.
    model: nn.Module
    plain_tokens: Tensor  #: (K, L₀) token ids of the names alone, padded.
    tokens: Tensor  #: (K, L) token ids, with placeholders for the prompts.
    #: (K, L), the index of the prompt vector at each position, -1 elsewhere.
    prompt_positions: Tensor
    num_prompts: int  #: Number of prompt vectors.

    @torch.no_grad()
    def plain_features(self) -> Tensor:
        """Text features (K, D) of the names without prompts, not normalised."""
        output = self.model(input_ids=self.plain_tokens)
        features: Tensor = output.text_embeds if "text_embeds" in output else output.pooler_output
        return features


def load_text_tower(
    source: str,
    classes: Sequence[str],
    *,
    prompts_before: int = 16,
    prompts_after: int = 16,
    display_names: Mapping[str, str] | None = None,
) -> TextTokens | ClassEmbeddings:
    """Load a text encoder of CLIP, SigLIP or another family, and tokenize the classes' names.

    Of an image-text model of any other family the names' features alone are given, by the library's
    own reading of them, unless the insertion of prompts is found to agree with it.

    Args:
        source: a local folder or a hub name, of a text model or of a whole image-text model;
            weights are read from safetensors only.
        classes: class names, in the order of class indices.
        prompts_before: prompt vectors before the name.
        prompts_after: prompt vectors after the name.
        display_names: by class, where `display_name` does not fit.

    Raises:
        DuetalError: the encoder can't be loaded, or a class's name is too long for it.
    """
    found = find_pretrained(source, "text encoder")
    # First, as it tells what a model is that has no texts.
    model, is_known = _text_model(found)
    tokenizer = _tokenizer(found)
    shown = {label: display_name(label) for label in classes} | dict(display_names or {})
    names = {label: shown[label] for label in classes}
    if is_known:
        return _prompted(found, model, tokenizer, names, prompts_before, prompts_after)
    with found.explaining("cannot be used"), torch.no_grad():
        model.pad = tokenizer.pad_token_id
        read = tokenizer(list(names.values()), padding=True, return_tensors="pt")
        output = model.model.get_text_features(read["input_ids"], read.get("attention_mask"))
        plain: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    try:
        tower = _prompted(found, model, tokenizer, names, prompts_before, prompts_after)
    except DuetalError as error:
        # Without one it is the user's words that are too long.
        if error.__cause__ is None:
            raise
    else:
        if torch.allclose(tower.plain_features(), plain, atol=1e-4, rtol=1e-3):
            return tower
    return ClassEmbeddings(plain)


def _prompted(
    found: Pretrained,
    model: Any,
    tokenizer: Any,
    names: Mapping[str, str],
    before: int,
    after: int,
) -> TextTokens:
    """The names of the classes as tokens with places for prompts, and what reads them."""
    count = before + after
    # A wrong configuration shows when it is used.
    with found.explaining("cannot be used"):
        limit = int(model.config.max_position_embeddings)
        family = model.config.model_type.removesuffix("_text_model")
        if family == "clap":
            # Its positions begin after that of the padding.
            limit -= int(model.config.pad_token_id) + 1
        if family in _CLIP_FRAMED:
            frame = _clip_frame(tokenizer)
        else:
            frame = _marked_frame(tokenizer, limit if family in _FULL_LENGTH else None)
        if None in (*frame.start, *frame.end, frame.pad):
            raise found.error("its tokenizer does not define how a text starts, ends or is padded")
        sequences = _tokenize(found, tokenizer, names, frame, count, limit)
        plain, _ = _arrange(sequences, frame, 0, 0)
        tokens, positions = _arrange(sequences, frame, before, after)
        if tokens.max() >= model.get_input_embeddings().num_embeddings:
            raise found.error("its tokenizer is of another model: it has more tokens")
        tower = TextTokens(model, plain, tokens, positions, count)
        tower.plain_features()
    return tower


def _text_model(found: Pretrained) -> tuple[Any, bool]:
    """The text model with its projection, and whether its family is known."""
    import transformers

    config = found.config()
    family = config.model_type.removesuffix("_text_model")
    if family in WHOLE_MODELS:
        model = found.load_model(getattr(transformers, WHOLE_MODELS[family]), config=config)
        pad = config.text_config.pad_token_id if family in _MASKED else None
        kept = ("text_model", "text_projection")
        return TextPart(model, pad, {n for n, _ in model.named_children()}.difference(kept)), True
    if family not in TEXT_MODELS:
        model = found.load_model(found.image_text_class(config), config=config)
        seeing = [name for name, _ in model.named_children() if name.startswith("vis")]
        return TextPart(model, None, seeing), False
    text_config = getattr(config, "text_config", config)
    if hasattr(config, "projection_dim"):
        # The text part's own value is not used by the whole model, and wrong in some.
        text_config.projection_dim = config.projection_dim
    return found.load_model(getattr(transformers, TEXT_MODELS[family]), config=text_config), True


def _tokenizer(found: Pretrained) -> Any:
    from transformers import AutoTokenizer

    try:
        return found.load(AutoTokenizer)
    except DuetalError as error:
        if isinstance(error.__cause__, ImportError):
            cause = 'SigLIP\'s tokenizer needs SentencePiece: pip install "duetal[siglip]"'
            raise UsageError(cause, file=found.source, place=found.role) from error
        raise


@dataclass(frozen=True)
class _Frame:
    """The tokens around a text."""

    start: list[int]
    end: list[int]
    pad: int
    length: int | None = None  #: Of every text; None: of the longest one.
    left: bool = False  #: The padding stands before the text.


def _clip_frame(tokenizer: Any) -> _Frame:
    """`[SOS] … [EOT]`. Tokens after EOT have no effect, so EOT can pad."""
    end = tokenizer.eos_token_id
    return _Frame([tokenizer.bos_token_id], [end], pad=end)


def _marked_frame(tokenizer: Any, length: int | None) -> _Frame:
    """The marks that the tokenizer puts around a text.

    SigLIP was trained on texts of full length, without a mask: it attends to the padding too.
    VideoPrism's are as long, and CLAP's as the longest, with a mask.
    """
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    starts = range(len(whole) - len(plain) + 1)
    before = next((i for i in starts if whole[i : i + len(plain)] == plain), 0)
    return _Frame(
        whole[:before],
        whole[before + len(plain) :],
        pad=tokenizer.pad_token_id,
        length=length,
        left=tokenizer.padding_side == "left",
    )


def _tokenize(
    found: Pretrained,
    tokenizer: Any,
    names: Mapping[str, str],
    frame: _Frame,
    prompts: int,
    limit: int,
) -> list[list[int]]:
    """The token ids of each class's display name, without marks."""
    marks = len(frame.start) + len(frame.end)
    sequences: list[list[int]] = []
    for label in names:
        ids = tokenizer(names[label], add_special_tokens=False)["input_ids"]
        if not ids:
            raise DuetalError(f"class {label!r} has no word in its name", file=found.source)
        taken = len(ids) + prompts + marks
        if taken > limit:
            said = shorten(names[label], 60, placeholder=" …")
            named = "" if names[label] == label else f" ({said!r})"
            cause = (
                f"class {shorten(label, 60, placeholder=' …')!r}{named} takes {len(ids)} tokens; "
            )
            cause += f"with {prompts} prompt vectors and {marks} marks that is {taken}"
            raise DuetalError(f"{cause}, and the text encoder reads {limit}", file=found.source)
        sequences.append(ids)
    return sequences


def _arrange(
    sequences: Sequence[Sequence[int]], frame: _Frame, before: int, after: int
) -> tuple[Tensor, Tensor]:
    """Token ids `start … name … end`, padded, and each prompt's position in them."""
    # Any ordinary token serves as placeholder: its embedding is replaced.
    placeholder = sequences[0][0]
    lines = [
        [*frame.start, *[placeholder] * before, *ids, *[placeholder] * after, *frame.end]
        for ids in sequences
    ]
    length = frame.length or max(map(len, lines))
    tokens = torch.full((len(lines), length), frame.pad, dtype=torch.long)
    positions = torch.full((len(lines), length), -1, dtype=torch.long)
    for row, (ids, line) in enumerate(zip(sequences, lines, strict=True)):
        first = length - len(line) if frame.left else 0
        tokens[row, first : first + len(line)] = torch.tensor(line)
        prompts = first + len(frame.start)
        positions[row, prompts : prompts + before] = torch.arange(before)
        behind = prompts + before + len(ids)
        positions[row, behind : behind + after] = torch.arange(before, before + after)
    return tokens, positions
