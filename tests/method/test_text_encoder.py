"""The prompted text encoder beside the library's own forward and a slow one from the definition."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoTokenizer, CLIPConfig, CLIPModel, CLIPTextModelWithProjection

from duetal.backbones.text_towers import load_text_tower
from duetal.core.errors import DuetalError
from duetal.method.text import PromptedTextEncoder, StoredText
from duetal.simulation.tiny_clip import make_tiny_clip

NAMES = ("HighJump", "Diving", "CleanAndJerk")
SAID = ("high jump", "diving", "clean and jerk")
PROMPTS = [(0, 0), (3, 0), (0, 2), (3, 2), (16, 16)]


def load(folder: Path, before: int, after: int) -> PromptedTextEncoder:
    torch.manual_seed(0)
    return PromptedTextEncoder(
        load_text_tower(str(folder), NAMES, prompts_before=before, prompts_after=after)
    )


def library_features(folder: Path) -> Tensor:
    """Text features of the names as the library's documentation computes them."""
    model = CLIPTextModelWithProjection.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(list(SAID), padding=True, return_tensors="pt")
    with torch.no_grad():
        return model(**inputs).text_embeds


def slow_features(folder: Path, prompts: Tensor, before: int) -> Tensor:
    """Text features by CLIP's definition, one name and one layer at a time, from raw weights."""
    model = CLIPTextModelWithProjection.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    weights, config = model.state_dict(), model.config

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    def norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(
            x,
            x.shape[-1:],
            weights[f"{name}.weight"],
            weights[f"{name}.bias"],
            config.layer_norm_eps,
        )

    def attend(name: str, x: Tensor) -> Tensor:
        length, width = x.shape
        heads = config.num_attention_heads
        query, key, value = (
            linear(f"{name}.{part}_proj", x).view(length, heads, -1).transpose(0, 1)
            for part in "qkv"
        )
        scores = query @ key.transpose(1, 2) / math.sqrt(width // heads)
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(future, -math.inf).softmax(-1) @ value
        return linear(f"{name}.out_proj", mixed.transpose(0, 1).reshape(length, width))

    embeddings = weights["text_model.embeddings.token_embedding.weight"]
    features = []
    for words in SAID:
        ids = tokenizer(words, add_special_tokens=False)["input_ids"]
        x = torch.cat(
            [
                embeddings[[tokenizer.bos_token_id]],
                prompts[:before],
                embeddings[ids],
                prompts[before:],
                embeddings[[tokenizer.eos_token_id]],
            ]
        )
        x = x + weights["text_model.embeddings.position_embedding.weight"][: len(x)]
        for layer in range(config.num_hidden_layers):
            name = f"text_model.encoder.layers.{layer}"
            x = x + attend(f"{name}.self_attn", norm(f"{name}.layer_norm1", x))
            hidden = linear(f"{name}.mlp.fc1", norm(f"{name}.layer_norm2", x))
            x = x + linear(f"{name}.mlp.fc2", hidden * torch.sigmoid(1.702 * hidden))
        # EOT is the last token, wherever the prompts have shifted it.
        features.append(linear("text_projection", norm("text_model.final_layer_norm", x)[-1]))
    return torch.stack(features)


def test_without_prompts_it_is_the_library(tiny_clip: Path) -> None:
    encoder = load(tiny_clip, 0, 0)
    expected = library_features(tiny_clip)
    torch.testing.assert_close(encoder(), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(encoder.plain(), expected, atol=1e-6, rtol=0)
    # The stand-in tells texts apart, or the comparison would prove little.
    unit = F.normalize(expected, dim=-1)
    assert (unit @ unit.T).fill_diagonal_(0).max() < 0.9


@pytest.mark.parametrize(("before", "after"), PROMPTS)
def test_with_prompts_it_is_the_definition(tiny_clip: Path, before: int, after: int) -> None:
    encoder = load(tiny_clip, before, after)
    encoder.prompts.data.normal_()  # loud: a prompt in the wrong place must show
    with torch.no_grad():
        expected = slow_features(tiny_clip, encoder.prompts, before)
        torch.testing.assert_close(encoder(), expected, atol=1e-5, rtol=0)
        plain = library_features(tiny_clip)
        torch.testing.assert_close(encoder.plain(), plain, atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("index", range(5))
def test_every_prompt_is_heard(tiny_clip: Path, index: int) -> None:
    encoder = load(tiny_clip, 3, 2)
    before = encoder()
    encoder.prompts[index] = torch.randn(16)
    assert (encoder() - before).abs().amax(dim=1).min() > 1e-4  # by every class


def test_prompts_start_small(tiny_clip: Path) -> None:
    prompts = load(tiny_clip, 16, 16).prompts
    assert prompts.shape == (32, 16)
    assert prompts.std().item() == pytest.approx(0.01, rel=0.2)


def test_only_prompts_learn(tiny_clip: Path) -> None:
    encoder = load(tiny_clip, 3, 2).train()
    assert not encoder.model.training
    encoder().sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.requires_grad] == ["prompts"]
    assert encoder.prompts.grad is not None
    assert encoder.prompts.grad.abs().amax(dim=1).min() > 0
    assert all(p.grad is None for p in encoder.model.parameters())


@pytest.mark.parametrize("eos_token_id", [2, 513])
def test_whole_clip_as_the_hub_holds_it(tmp_path: Path, tiny_clip: Path, eos_token_id: int) -> None:
    """A folder with both encoders loads; OpenAI's configurations call EOT 2, which it is not."""
    source = CLIPTextModelWithProjection.from_pretrained(tiny_clip)
    settings = {**source.config.to_dict(), "eos_token_id": eos_token_id}
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    vision |= {"num_attention_heads": 1, "image_size": 8, "patch_size": 8}
    whole = CLIPModel(CLIPConfig(text_config=settings, vision_config=vision, projection_dim=16))
    whole.load_state_dict(source.state_dict(), strict=False)
    whole.half().save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_clip).save_pretrained(tmp_path)
    encoder = load(tmp_path, 3, 2)
    assert encoder().dtype == torch.float32
    torch.testing.assert_close(encoder(), load(tiny_clip, 3, 2)(), atol=2e-2, rtol=0)


def test_display_names_are_said(tiny_clip: Path) -> None:
    default = PromptedTextEncoder(
        load_text_tower(str(tiny_clip), ["HighJump"], prompts_before=0, prompts_after=0)
    )
    said = PromptedTextEncoder(
        load_text_tower(
            str(tiny_clip),
            ["x7"],
            display_names={"x7": "high jump"},
            prompts_before=0,
            prompts_after=0,
        )
    )
    torch.testing.assert_close(default.plain(), said.plain())


def test_too_long_a_name_is_refused_by_name(tiny_clip: Path) -> None:
    # One token a letter: 43 letters, 32 prompts and 2 marks are 77.
    fits, long = "a" * 43, "b" * 44
    load_text_tower(str(tiny_clip), [fits])
    with pytest.raises(DuetalError, match=rf"'{long}'.*78.*77"):
        load_text_tower(str(tiny_clip), [fits, long])


def test_a_name_without_words_is_refused(tiny_clip: Path) -> None:
    with pytest.raises(DuetalError, match="'_' has no word"):
        load_text_tower(str(tiny_clip), ["_"])


@pytest.mark.parametrize("source", ["/nowhere/clip", "nobody/no-such-clip"])
def test_a_missing_encoder_is_one_line(source: str) -> None:
    with pytest.raises(DuetalError, match=rf"^{source}: text encoder: .") as caught:
        load_text_tower(source, NAMES)
    assert "\n" not in str(caught.value)


def test_damaged_encoders_are_refused(tmp_path: Path, tiny_clip: Path) -> None:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(tiny_clip, tmp_path / name))

    truncated = copy("truncated")
    weights = truncated / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    # Where weights are missing, the library would put random ones.
    partial = copy("partial")
    tensors = load_file(partial / "model.safetensors")
    del tensors["text_projection.weight"]
    save_file(tensors, partial / "model.safetensors", metadata={"format": "pt"})
    pickled = copy("pickled")
    (pickled / "model.safetensors").unlink()
    (pickled / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    for folder in (truncated, partial, pickled):
        with pytest.raises(DuetalError, match="text encoder"):
            load_text_tower(str(folder), NAMES)


def test_the_stand_in_is_the_same_each_time(tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_tiny_clip(tmp_path / name, dimension=8, seed=seed)
    assert torch.equal(state, torch.random.get_rng_state())
    first, again, other = (tmp_path / name / "model.safetensors" for name in "abc")
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != other.read_bytes()
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["text_config"]["max_position_embeddings"] == 77


def test_stored_text_gives_what_was_stored() -> None:
    features = torch.randn(3, 4)
    stored = StoredText(features)
    assert torch.equal(stored(), features)
    assert list(stored.state_dict()) == ["features"]
