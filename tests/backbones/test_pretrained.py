"""Where pretrained models are found, and what their identity is."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from duetal.backbones.clip import load_image_encoder
from duetal.backbones.pretrained import CONVERSION, CONVERTER, find_pretrained
from duetal.core.errors import DuetalError
from duetal.simulation.tiny_clip import make_tiny_clip


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    make_tiny_clip(tmp_path / "clip", dimension=8)
    return tmp_path / "clip"


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (None, None),
        ("no front matter", None),
        ("---\nlicense: mit\n---\n# CLIP", "mit"),
        ("---\nlicense: [a, b]\n---\n", None),
        ("---\n{ not: [yaml\n---\n", None),
        ("---\n- a list\n---\n", None),
    ],
)
def test_identity(clip: Path, card: str | None, licence: str | None) -> None:
    if card is not None:
        (clip / "README.md").write_text(card)
    identity = load_image_encoder(str(clip)).identity
    digest = hashlib.sha256((clip / "model.safetensors").read_bytes()).hexdigest()
    assert (identity.name, identity.architecture) == (str(clip), "CLIPModel")
    assert identity.sha256 == digest
    assert identity.licence == licence


def test_weights_in_several_files(clip: Path) -> None:
    from transformers import CLIPModel

    whole = load_image_encoder(str(clip))
    model = CLIPModel.from_pretrained(clip)
    (clip / "model.safetensors").unlink()
    model.save_pretrained(clip, max_shard_size="10KB")
    shards = sorted(clip.glob("model-*.safetensors"))
    assert len(shards) > 2
    parts = load_image_encoder(str(clip))
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in shards]
    assert parts.identity.sha256 == hashlib.sha256("".join(hashes).encode()).hexdigest()
    assert parts.identity.sha256 != whole.identity.sha256
    for (name, x), y in zip(whole.model.named_parameters(), parts.model.parameters(), strict=True):
        assert x.equal(y), name
    shards[1].unlink()
    with pytest.raises(DuetalError, match="image encoder: "):
        load_image_encoder(str(clip))


def test_what_is_hashed_is_what_is_loaded(clip: Path) -> None:
    """Files that look like the weights do not count where the index names others."""
    from transformers import CLIPModel

    model = CLIPModel.from_pretrained(clip)
    whole = (clip / "model.safetensors").rename(clip / "hidden.safetensors")
    (clip / "model-00001-of-00001.safetensors").write_bytes(whole.read_bytes())
    index = {"metadata": {}, "weight_map": dict.fromkeys(model.state_dict(), whole.name)}
    (clip / "model.safetensors.index.json").write_text(json.dumps(index))
    digest = hashlib.sha256(whole.read_bytes()).hexdigest()
    assert load_image_encoder(str(clip)).identity.sha256 == digest
    with torch.no_grad():
        model.visual_projection.weight.add_(1)
    save_file(model.state_dict(), whole, {"format": "pt"})
    assert load_image_encoder(str(clip)).identity.sha256 != digest
    for outside in ("../other.safetensors", "/etc/x.safetensors", "sub/x.safetensors", 3):
        index["weight_map"]["logit_scale"] = outside
        (clip / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(DuetalError, match="which is no part of the weights"):
            load_image_encoder(str(clip))


@pytest.mark.parametrize("part", [None, "text_config", "vision_config"])
def test_a_configuration_chooses_neither_kernels_nor_quantization(
    clip: Path, part: str | None
) -> None:
    config = json.loads((clip / "config.json").read_text())
    inside = config if part is None else config[part]
    inside["attn_implementation"] = inside["_attn_implementation"] = "somebody/kernels"
    (clip / "config.json").write_text(json.dumps(config))
    found = load_image_encoder(str(clip)).model.config
    assert found._attn_implementation in ("sdpa", "eager")
    assert found.vision_config._attn_implementation in ("sdpa", "eager")
    inside["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (clip / "config.json").write_text(json.dumps(config))
    with pytest.raises(DuetalError, match=r"config.json has 'quantization_config', which is not"):
        load_image_encoder(str(clip))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("/nowhere/clip", "no such folder"),
        ("", "no such folder"),
        ("a" * 300, "no such folder: File name too long"),
        ("nobody/no-such-clip", "neither a folder nor to be had from the hub: ."),
        ("two words", "neither a folder nor to be had from the hub: ."),
        ("../nowhere", "neither a folder nor to be had from the hub: ."),
        ("new\nline", "neither a folder nor to be had from the hub: ."),
        ("nul\0", "neither a folder nor to be had from the hub: ."),
    ],
)
def test_a_missing_model_is_one_line(source: str, reason: str) -> None:
    with pytest.raises(DuetalError, match=f"image encoder: {reason}") as caught:
        load_image_encoder(source)
    assert "\n" not in str(caught.value)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").touch()
    with pytest.raises(DuetalError, match="no such folder"):
        find_pretrained(str(tmp_path / "x.safetensors"), "image encoder")


class Hub:
    """A hub's cache with one repository, whose branches are revisions side by side."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cache: Path, offers: list[Any]):
        self.snapshots = cache / "snapshots"
        self.requested: list[tuple[str, str | None]] = []
        self.offers = offers
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self.snapshot_download)
        monkeypatch.setattr(huggingface_hub, "get_repo_discussions", self.discussions)

    def snapshot_download(
        self, name: str, *, allow_patterns: list[str], revision: str | None = None
    ) -> str:
        self.requested.append((name, revision))
        branch = (revision or "main").replace("/", "_")
        (self.snapshots / branch).mkdir(parents=True, exist_ok=True)
        if revision == "refs/pr/7":
            make_tiny_clip(self.snapshots / branch, dimension=8)
        return str(self.snapshots / branch)

    def discussions(self, name: str, *, author: str, discussion_type: str) -> list[Any]:
        assert (author, discussion_type) == (CONVERTER, "pull_request")
        return self.offers


def test_a_repository_of_pickles_is_read_in_the_hubs_conversion(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offers = [
        SimpleNamespace(num=5, status="closed", title=CONVERSION),
        SimpleNamespace(num=6, status="open", title="Add my weights"),
        SimpleNamespace(num=7, status="open", title=CONVERSION),
    ]
    hub = Hub(monkeypatch, tmp_path, offers)
    encoder = load_image_encoder("them/clip")
    assert hub.requested == [("them/clip", None), ("them/clip", "refs/pr/7")]
    assert encoder.identity.name == "them/clip"
    weights = hub.snapshots / "refs_pr_7" / "model.safetensors"
    assert encoder.identity.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert load_file(weights).keys() > {"visual_projection.weight"}

    # What was fetched once is found again without asking.
    hub.offers = []
    assert load_image_encoder("them/clip").identity == encoder.identity


def test_a_repository_of_pickles_alone_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = Hub(monkeypatch, tmp_path, [])
    (hub.snapshots / "main").mkdir(parents=True)
    (hub.snapshots / "main" / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(DuetalError, match=r"^them/clip: image encoder: no model\.safetensors"):
        load_image_encoder("them/clip")
