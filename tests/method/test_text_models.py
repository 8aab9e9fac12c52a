"""Text models other than CLIP's: prompts laid into SigLIP's and MetaCLIP 2's."""

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, processors
from torch import Tensor
from torch.nn import functional as F

from duetal.backbones.class_embeddings import load_text
from duetal.backbones.clip import load_image_encoder
from duetal.backbones.pretrained import quiet
from duetal.backbones.text_towers import TextTokens, load_text_tower
from duetal.core.errors import DuetalError, UsageError
from duetal.method.text import PromptedTextEncoder
from duetal.simulation.tiny_clip import clip_tokenizer, make_tiny_clip

quiet()
from transformers import (  # noqa: E402 - importing them warns, unless told not to
    AutoTokenizer,
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    MetaClip2Config,
    MetaClip2Model,
    PreTrainedTokenizerFast,
    Siglip2TextConfig,
    Siglip2TextModel,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipModel,
    SiglipTokenizer,
)

NAMES = ("HighJump", "Diving", "CleanAndJerk")
SAID = ["high jump", "diving", "clean and jerk"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LENGTH = 64

TOWER = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
VISION = TOWER | {"image_size": 32, "patch_size": 8}
TEXT = TOWER | {"vocab_size": 64, "max_position_embeddings": LENGTH}
TEXT |= {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}


def vocabulary(*marks: str) -> dict[str, int]:
    return {token: index for index, token in enumerate([*marks, "▁", *LETTERS])}


def sentence_piece(folder: Path) -> None:
    """The tokenizer of SigLIP 1; what fills up is what ends."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SAID * 20),
        model_writer=written,
        vocab_size=60,
        hard_vocab_limit=False,
        pad_id=-1,
        bos_id=0,
        eos_id=1,
        unk_id=2,
        minloglevel=2,
    )
    source = folder / "trained.model"
    source.write_bytes(written.getvalue())
    SiglipTokenizer(str(source)).save_pretrained(folder)
    source.unlink()


def gemma(folder: Path) -> None:
    """The tokenizer of SigLIP 2; by itself it puts no mark, and fills up on the left."""
    marks = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
    Siglip2Tokenizer(vocab=vocabulary(*marks), merges=[]).save_pretrained(folder)


def framed(folder: Path) -> None:
    """A tokenizer with marks on both sides, such as MetaCLIP 2's."""
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary("<s>", "<pad>", "</s>", "<unk>"), merges=[], unk_token="<unk>")
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    ).save_pretrained(folder)


def loud(model: Any) -> Any:
    """Weights so large that every token is heard."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data.normal_(std=0.5)
    return model.eval()


TOKENIZERS = [sentence_piece, gemma, framed]


def siglip(folder: Path, tokenizer: Any) -> Any:
    model = loud(SiglipModel(SiglipConfig(text_config=TEXT, vision_config=VISION)))
    model.save_pretrained(folder)
    tokenizer(folder)
    return model


def full_length(folder: Path) -> Tensor:
    tokens = AutoTokenizer.from_pretrained(folder)(
        SAID, padding="max_length", max_length=LENGTH, return_tensors="pt"
    )
    ids: Tensor = tokens["input_ids"]
    return ids


@torch.no_grad()
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_siglip_without_prompts_is_the_librarys(tmp_path: Path, tokenizer: Any) -> None:
    model = siglip(tmp_path, tokenizer)
    expected = model.get_text_features(input_ids=full_length(tmp_path)).pooler_output
    encoder = PromptedTextEncoder(
        load_text_tower(str(tmp_path), NAMES, prompts_before=0, prompts_after=0)
    )
    torch.testing.assert_close(encoder(), expected, atol=1e-6, rtol=0)
    with_prompts = PromptedTextEncoder(
        load_text_tower(str(tmp_path), NAMES, prompts_before=3, prompts_after=2)
    )
    torch.testing.assert_close(with_prompts.plain(), expected, atol=1e-6, rtol=0)
    unit = F.normalize(expected, dim=-1)
    assert (unit @ unit.T).fill_diagonal_(0).max() < 0.99


def embedded_by_hand(folder: Path, embeddings: Tensor, prompts: Tensor, before: int) -> Tensor:
    """(K, LENGTH, width): marks, prompts and filling laid out by their description."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for words in SAID:
        bare = tokenizer(words, add_special_tokens=False)["input_ids"]
        whole = tokenizer(words)["input_ids"]
        start = whole[: whole.index(bare[0])] if whole[0] != bare[0] else []
        end = whole[len(start) + len(bare) :]
        parts = [
            embeddings[start],
            prompts[:before],
            embeddings[bare],
            prompts[before:],
            embeddings[end],
        ]
        text = torch.cat(parts)
        filling = embeddings[[tokenizer.pad_token_id] * (LENGTH - len(text))]
        left = tokenizer.padding_side == "left"
        rows.append(torch.cat([filling, text] if left else [text, filling]))
    return torch.stack(rows)


@torch.no_grad()
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize(("before", "after"), [(3, 0), (0, 2), (3, 2), (16, 16)])
def test_siglip_with_prompts(tmp_path: Path, tokenizer: Any, before: int, after: int) -> None:
    text = siglip(tmp_path, tokenizer).text_model
    encoder = PromptedTextEncoder(
        load_text_tower(str(tmp_path), NAMES, prompts_before=before, prompts_after=after)
    )
    encoder.prompts.data.normal_()
    table = text.embeddings.token_embedding.weight
    x = embedded_by_hand(tmp_path, table, encoder.prompts, before)
    x = x + text.embeddings.position_embedding.weight
    for layer in text.encoder.layers:
        x = layer(x, None)
        x = x if isinstance(x, Tensor) else x[0]
    # No mask, and the last place is read, whatever stands there.
    expected = text.head(text.final_layer_norm(x)[:, -1])
    torch.testing.assert_close(encoder(), expected, atol=1e-5, rtol=0)


def test_prompts_of_siglip_learn(tmp_path: Path) -> None:
    siglip(tmp_path, gemma)
    encoder = PromptedTextEncoder(
        load_text_tower(str(tmp_path), NAMES, prompts_before=3, prompts_after=2)
    )
    encoder().sum().backward()
    assert encoder.prompts.grad is not None
    assert encoder.prompts.grad.abs().amax(dim=1).min() > 0


def test_a_bare_siglip2_text_model(tmp_path: Path) -> None:
    model = loud(Siglip2TextModel(Siglip2TextConfig(**TEXT)))
    model.save_pretrained(tmp_path)
    gemma(tmp_path)
    encoder = PromptedTextEncoder(load_text_tower(str(tmp_path), NAMES))
    with torch.no_grad():
        expected = model(input_ids=full_length(tmp_path)).pooler_output
        torch.testing.assert_close(encoder.plain(), expected, atol=1e-6, rtol=0)


def test_too_long_a_name_for_siglip(tmp_path: Path) -> None:
    siglip(tmp_path, framed)
    load_text_tower(str(tmp_path), ["a" * 30])
    with pytest.raises(DuetalError, match=r"31 tokens; with 32 prompt vectors and 2 marks.*65.*64"):
        load_text_tower(str(tmp_path), ["a" * 31])


@torch.no_grad()
@pytest.mark.parametrize(
    ("config_class", "model_class"), [(CLIPConfig, CLIPModel), (MetaClip2Config, MetaClip2Model)]
)
def test_the_wholes_projection_holds(tmp_path: Path, config_class: Any, model_class: Any) -> None:
    """Some of the hub's configurations say another width in the text part."""
    text = TEXT | {"projection_dim": 512}
    config = config_class(text_config=text, vision_config=VISION, projection_dim=12)
    model = loud(model_class(config))
    model.save_pretrained(tmp_path)
    framed(tmp_path)
    tokens = AutoTokenizer.from_pretrained(tmp_path)(SAID, padding=True, return_tensors="pt")
    library = model_class.from_pretrained(tmp_path).eval()
    expected = library.get_text_features(**tokens).pooler_output
    encoder = PromptedTextEncoder(
        load_text_tower(str(tmp_path), NAMES, prompts_before=3, prompts_after=2)
    )
    assert expected.shape == (3, 12)
    torch.testing.assert_close(encoder.plain(), expected, atol=1e-6, rtol=0)
    assert (encoder() - expected).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize(
    ("family", "pad", "takes_prompts"),
    [("Blip", 1, True), ("CLIPSeg", 1, True), ("CLIPSeg", 513, False)],
)
def test_a_tower_of_another_family(
    tmp_path: Path, family: str, pad: int, takes_prompts: bool
) -> None:
    """Prompts, where their insertion agrees with the library's reading of the names, or none."""
    import transformers

    text = TEXT | {"projection_dim": 16, "vocab_size": 520, "pad_token_id": pad}
    config = getattr(transformers, f"{family}Config")(
        text_config=text, vision_config=VISION, projection_dim=16
    )
    model = loud(getattr(transformers, f"{family}Model")(config))
    model.save_pretrained(tmp_path)
    # CLIP's fills texts up with the mark of their end, which a mask would hide.
    clip_tokenizer().save_pretrained(tmp_path) if pad == 513 else framed(tmp_path)
    tokens = AutoTokenizer.from_pretrained(tmp_path)(SAID, padding=True, return_tensors="pt")
    expected = model.get_text_features(tokens["input_ids"], tokens["attention_mask"])
    tower = load_text(str(tmp_path), NAMES, prompts_before=3, prompts_after=2)
    torch.testing.assert_close(tower.plain_features(), expected.pooler_output, atol=1e-4, rtol=0)
    assert isinstance(tower, TextTokens) is takes_prompts


def test_a_model_without_text_beside_pictures_is_refused(tmp_path: Path) -> None:
    BertModel(BertConfig(**TOWER, vocab_size=64)).save_pretrained(tmp_path)
    framed(tmp_path)
    with pytest.raises(DuetalError, match="BertModel is not an image-text model") as caught:
        load_text_tower(str(tmp_path), NAMES)
    assert "\n" not in str(caught.value)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    siglip(tmp_path, framed)

    def absent(*_: Any, **__: Any) -> None:
        raise ImportError("SiglipTokenizer requires the SentencePiece library\nbut")

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", absent)
    with pytest.raises(UsageError, match=r'pip install "duetal\[siglip\]"'):
        load_text_tower(str(tmp_path), NAMES)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    loud(
        SiglipModel(SiglipConfig(text_config=TEXT | {"vocab_size": 9}, vision_config=VISION))
    ).save_pretrained(tmp_path)
    framed(tmp_path)
    with pytest.raises(DuetalError, match="tokenizer is of another model"):
        load_text_tower(str(tmp_path), NAMES)


def test_a_tokenizer_without_marks_is_refused(tmp_path: Path, tiny_clip: Path) -> None:
    folder = Path(shutil.copytree(tiny_clip, tmp_path / "model"))
    tokenizer = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    with pytest.raises(DuetalError, match="does not define how a text starts"):
        load_text_tower(str(folder), NAMES)


def test_the_stand_in_sees_and_reads(tmp_path: Path) -> None:
    make_tiny_clip(tmp_path / "clip", dimension=8)
    text = PromptedTextEncoder(load_text_tower(str(tmp_path / "clip"), NAMES))
    assert text.plain().shape == (3, load_image_encoder(str(tmp_path / "clip")).dim)


JSON_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 80),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.text(max_size=5),
    st.lists(st.integers(-1, 40), max_size=3),
)


@settings(max_examples=60)
@given(data=st.data())
def test_any_configuration_gives_an_encoder_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzzed")
    shutil.copytree(tiny_clip, folder, dirs_exist_ok=True)
    name = data.draw(st.sampled_from(["config.json", "tokenizer_config.json"]))
    config = json.loads((folder / name).read_text())
    part = config["text_config"] if name == "config.json" else config
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON_VALUES)
    (folder / name).write_text(json.dumps(config))
    with contextlib.suppress(DuetalError):
        encoder = PromptedTextEncoder(load_text_tower(str(folder), NAMES))
        assert len(encoder()) == len(encoder.plain()) == 3
    shutil.rmtree(folder)
