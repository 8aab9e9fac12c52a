"""Every family beside the library's own processor and forward, and what is refused."""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub import errors
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from _tiny_models import TINY, make_tiny_model
from duetal.backbones.presets import PRESETS, Pooling, Preset, choose, choose_all, known_record
from duetal.backbones.pretrained import quiet
from duetal.backbones.text_towers import load_text_tower
from duetal.core.errors import DuetalError, UsageError
from duetal.method.text import PromptedTextEncoder

quiet()
import transformers  # noqa: E402 - importing them warns by default

SOUND = ("ast", "clap")
#: The library's processors of models of one picture and texts.
IMAGE_TEXT = dict.fromkeys(("clip", "metaclip2"), "CLIPImageProcessorPil") | dict.fromkeys(
    ("siglip", "siglip2"), "SiglipImageProcessorPil"
)
#: Families with a classifier, and without.
MODELS = [(name, classifier) for name in TINY for classifier in (True, False)]
MODELS = [
    (name, classifier) for name, classifier in MODELS if classifier or PRESETS[name].classifier
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    root = tmp_path_factory.mktemp("models")

    def get(name: str, classifier: bool = True) -> Path:
        folder = root / f"{name}-{classifier}"
        if not folder.is_dir():
            make_tiny_model(name, folder, classifier=classifier)
        return folder

    return get


def branch(name: str) -> str:
    return "vlp" if PRESETS[name].has_text else "cbp"


def pictures(count: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(count)
    return list(rng.integers(0, 256, (count, *size, 3), np.uint8))


def librarys_pixels(name: str, folder: Path, frames: list[NDArray[np.uint8]]) -> Tensor:
    """(1, frames, 3, h, w), by the library's processors on PIL."""
    if name == "vivit":
        processor = transformers.VivitImageProcessor.from_pretrained(folder)
    elif name.startswith("videoprism"):
        processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
        found = processor(frames, do_normalize=False, return_tensors="pt")["pixel_values"]
        return found[None]
    elif name in IMAGE_TEXT:
        processor = getattr(transformers, IMAGE_TEXT[name]).from_pretrained(folder)
        return processor(frames, return_tensors="pt")["pixel_values"]
    else:
        processor = transformers.VideoMAEImageProcessorPil.from_pretrained(folder)
    return processor(frames, return_tensors="pt")["pixel_values"]


@torch.no_grad()
def librarys_feature(preset: Preset, folder: Path, classifier: bool, **inputs: Any) -> Tensor:
    """What the classifier reads; or the tokens, pooled; or the embedding beside texts."""
    classifies = classifier and bool(preset.classifier)
    name = preset.classifier if classifies else preset.base or "AutoModel"
    model = getattr(transformers, name).from_pretrained(folder).eval()
    if preset.name == "clap":
        return model.get_audio_features(**inputs).pooler_output
    if preset.name in IMAGE_TEXT:
        return model.get_image_features(**inputs).pooler_output
    if preset.has_text:
        return model.get_video_features(**inputs).pooler_output.flatten(1)
    seen: list[Tensor] = []
    if classifies:
        model.classifier.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    output = model(**inputs)
    if classifies:
        return seen[0].flatten(1)
    if preset.pooling is Pooling.POOLER:
        return output.pooler_output
    tokens = output.last_hidden_state
    return tokens[:, 0] if preset.pooling is Pooling.CLASS_TOKEN else tokens.mean(1)


@pytest.mark.parametrize(("name", "classifier"), MODELS)
def test_features_are_the_librarys(
    folders: Callable[..., Path], name: str, classifier: bool
) -> None:
    folder, preset = folders(name, classifier), PRESETS[name]
    (record,) = choose(str(folder), branch(name))
    backbone = record.load(str(folder), None)
    assert record.name == name
    if name in SOUND:
        samples = np.random.default_rng(0).normal(0, 0.1, int(1.3 * backbone.sound_rate))
        samples = samples.astype(np.float32)
        tone = np.sin(np.arange(len(samples), dtype=np.float32) / 5)
        prepared = [backbone.prepare(samples), backbone.prepare(tone)]
        found = backbone.encode(torch.stack(prepared)[:, None])
        extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
        how = {"sampling_rate": backbone.sound_rate, "return_tensors": "pt"}
        inputs = dict(extractor(samples, **how))
        if name == "clap":
            inputs["is_longer"] = torch.zeros(1, 1, dtype=torch.bool)
    else:
        frames = pictures(record.input.frames or 0, (45, 61))
        batch = np.stack([backbone.prepare(picture) for picture in frames])
        both = torch.from_numpy(np.stack([batch, 255 - batch]))
        # One by one: the last place of a result depends on the batch.
        found = torch.cat([backbone.encode(one[None]) for one in both])
        pixels = librarys_pixels(name, folder, frames)
        inputs = {preset.argument: pixels[:, 0] if name == "hiera" else pixels}
    expected = librarys_feature(preset, folder, classifier, **inputs)
    torch.testing.assert_close(found[:1], expected.float(), atol=1e-5, rtol=1e-5)
    assert found.shape == (2, backbone.dim)
    # Other input has another feature.
    assert (found[0] - found[1]).abs().max() > 1e-4
    assert not any(p.requires_grad for p in backbone.model.parameters())


@pytest.mark.parametrize("size", [(32, 32), (45, 61), (200, 33), (31, 40), (5, 7)])
@pytest.mark.parametrize("name", ["videomae", "vjepa2", "vivit", "videoprism"])
def test_pictures_are_prepared_as_by_the_library(
    folders: Callable[..., Path], name: str, size: tuple[int, int]
) -> None:
    backbone = choose(str(folders(name)), "cbp")[0].load(str(folders(name)), None)
    frames = pictures(3, size)
    prepared = torch.from_numpy(np.stack([backbone.prepare(picture) for picture in frames]))
    assert prepared.dtype == torch.uint8
    found = backbone._pictures.normalized(prepared, torch.float32)
    expected = librarys_pixels(name, folders(name), frames)[0]
    torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=0)


def test_the_hash_is_that_of_what_is_loaded(folders: Callable[..., Path], tmp_path: Path) -> None:
    first = choose(str(folders("videomae")), "cbp")[0].load(str(folders("videomae")), None)
    make_tiny_model("videomae", tmp_path, seed=1)
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    other = choose(str(tmp_path), "cbp")[0].load(str(tmp_path), None)
    assert len({first.identity.sha256, other.identity.sha256}) == 2
    assert (other.identity.architecture, other.identity.licence) == (
        "VideoMAEForVideoClassification", "cc-by-nc-4.0",
    )  # fmt: skip


def test_presets_are_had_without_a_network() -> None:
    for name, preset in PRESETS.items():
        (record,) = choose(name, branch(name))
        assert (record.name, record.weights, record.input) == (name, preset.hub, preset.input)
        assert choose(preset.hub, branch(name))[0].weights == preset.hub
        assert len(record.input.offsets) == record.input.frames
        assert 0 <= record.input.offsets[0] <= record.input.offsets[-1] < record.input.window
        assert known_record(name, {"branch": "cbp"}).branch == "cbp"
    assert [one.name for one in choose("i3d", "cbp")] == ["rgb", "flow"]
    assert [one.name for one in choose_all({}, {})] == ["rgb", "flow", "clip"]
    assert [one.name for one in choose_all({"cbp": ["vivit"]}, {})] == ["vivit", "clip"]
    # Any family that sees may be read for CBP.
    assert [one.branch for one in choose("clip", "cbp")] == ["cbp"]


def a_hub(
    monkeypatch: pytest.MonkeyPatch, models: dict[str, Path | Exception], cache: Path
) -> list[tuple[str, Any]]:
    """A hub that holds some models, or answers with errors; gives what was asked of it."""
    asked: list[tuple[str, Any]] = []

    def download(name: str, *, allow_patterns: list[str], revision: str | None = None) -> str:
        asked.append((name, tuple(allow_patterns)))
        model = models.get(
            name, errors.RepositoryNotFoundError("404 Client Error", response=ANSWER)
        )
        if isinstance(model, Exception):
            raise model
        folder = cache / name
        folder.mkdir(parents=True, exist_ok=True)
        for path in model.iterdir():
            if allow_patterns == ["config.json"] and path.name != "config.json":
                continue
            shutil.copy(path, folder)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub, "get_repo_discussions", lambda *a, **k: [])
    return asked


ANSWER: Any = SimpleNamespace(headers={}, request=None)
GATED = errors.GatedRepoError("403 Client Error", response=ANSWER)


def test_a_name_of_the_hub_is_looked_at_before_its_weights_are_fetched(
    monkeypatch: pytest.MonkeyPatch, folders: Callable[..., Path], tmp_path: Path
) -> None:
    asked = a_hub(monkeypatch, {"them/vivit": folders("vivit")}, tmp_path)
    (record,) = choose("them/vivit", "cbp")
    assert asked == [("them/vivit", ("config.json",))]
    assert (record.name, record.input.frames, record.input.window) == ("vivit", 8, 16)
    backbone = record.load("them/vivit", None)
    assert backbone.identity.name == "them/vivit"
    assert "model.safetensors" in asked[-1][1]


def edited(**values: Any) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        for key, value in values.items():
            part = config
            *parents, last = key.split("__")
            for parent in parents:
                part = part[parent]
            part[last] = value
        (folder / "config.json").write_text(json.dumps(config))

    return edit


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def unprepared(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()


def prepared(**values: Any) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        path = folder / "preprocessor_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return edit


def texts_of_other_dimension(folder: Path) -> None:
    config = transformers.VideoPrismConfig.from_pretrained(folder)
    config.text_config.hidden_size = 16
    transformers.VideoPrismClipModel(config).save_pretrained(folder)


@pytest.mark.parametrize(
    ("name", "branch", "damage", "reason"),
    [
        ("videomae", "vlp", None, "videomae has no text encoder, which VLP needs; those with one"),
        ("ast", "vlp", None, "ast has no text encoder"),
        ("videomae", "cbp", edited(model_type="bert"), "model type is 'bert'; those that are read"),
        ("videomae", "cbp", edited(model_type="detr"), "model type is 'detr'; those that are"),
        ("videomae", "cbp", edited(model_type="theirs", auto_map={"AutoModel": "a.B"}),
         "It wants to run code that comes with it, which is never run"),
        ("videomae", "vlp", edited(model_type="theirs", auto_map={"AutoModel": "a.B"}),
         "it wants to run code that comes with it, which is never run"),
        ("videomae", "cbp", edited(quantization_config={"a": 1}), "'quantization_config', which"),
        ("vivit", "cbp", pickled, "no model.safetensors; pytorch_model.bin is a pickle"),
        ("vivit", "cbp", unprepared, "no preprocessor_config.json, which says how"),
        ("vivit", "cbp", prepared(size={"shortest_edge": 16}), "crops .32, 32. pixels of a pic"),
        ("vivit", "cbp", prepared(do_center_crop=False), "only their short side is given"),
        ("vivit", "cbp", prepared(image_std=[0, 1, 1]), "deviation that is not positive"),
        ("vivit", "cbp", prepared(size={"a": 1}), "cannot be used: 'height'"),
        ("clap", "vlp", edited(projection_dim=3), "weights of another model|cannot be used"),
        ("videoprism-lvt", "vlp", texts_of_other_dimension,
         "its texts have 16 dimensions, and what it sees or hears 32"),
        ("hiera", "cbp", edited(model_type="vivit"), "no weights of this model|cannot be"),
    ],
)  # fmt: skip
def test_an_unfit_model_is_one_line(
    folders: Callable[..., Path],
    tmp_path: Path,
    name: str,
    branch: str,
    damage: Callable[[Path], object] | None,
    reason: str,
) -> None:
    folder = Path(shutil.copytree(folders(name), tmp_path / "model"))
    if damage is not None:
        damage(folder)
    with pytest.raises(DuetalError, match=reason) as caught:
        choose(str(folder), branch)[0].load(str(folder), None)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_text_alone_is_no_image_text_model(tmp_path: Path) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(**small, intermediate_size=16, vocab_size=20)
    transformers.BertModel(config).save_pretrained(tmp_path)
    # By its configuration, before any weights are read or fetched.
    (tmp_path / "model.safetensors").unlink()
    cause = "BertModel is not an image-text model"
    with pytest.raises(DuetalError, match=f"--vlp: {cause}"):
        choose(str(tmp_path), "vlp")
    with pytest.raises(DuetalError, match=f"text encoder: {cause}"):
        load_text_tower(str(tmp_path), NAMES)


@pytest.mark.parametrize(
    ("named", "kind", "reason"),
    [
        ("vjepa", UsageError, "--cbp: unknown backbone 'vjepa'; the nearest is 'vjepa2'; a fold"),
        ("them/none", DuetalError, "them/none: --cbp: no such folder, and no such model on the"),
        ("them/gated", DuetalError, r"its owner asks for consent: .* `hf auth login`"),
        ("./nowhere", DuetalError, "neither a folder nor|no such"),
        ("two", UsageError, "unknown backbone"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str, kind: type, reason: str
) -> None:
    a_hub(monkeypatch, {"them/gated": GATED}, tmp_path)
    with pytest.raises(kind, match=reason) as caught:
        choose(named, "cbp")
    assert "\n" not in str(caught.value)


def test_two_of_one_name_and_weights_of_none_are_refused() -> None:
    with pytest.raises(UsageError, match="would make the vivit features of one store"):
        choose_all({"cbp": ["vivit", "google/vivit-b-16x2-kinetics400"]}, {})
    with pytest.raises(UsageError, match="--i3d-rgb: the rgb features are not extracted"):
        choose_all({"cbp": ["vivit"]}, {"rgb": "x.pt"})


NAMES = ("HighJump", "CleanAndJerk", "Diving")
SAID = ["high jump", "clean and jerk", "diving"]


@torch.no_grad()
@pytest.mark.parametrize("name", ["xclip", "videoprism-lvt", "clap"])
def test_texts_are_the_librarys_and_prompts_are_laid_into_them(
    folders: Callable[..., Path], name: str
) -> None:
    folder = folders(name)
    model = getattr(transformers, PRESETS[name].base).from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    filled = "max_length" if name == "videoprism-lvt" else True
    tokens = dict(tokenizer(SAID, padding=filled, max_length=64, return_tensors="pt"))
    wanted = {key: tokens[key] for key in ("input_ids", "attention_mask")}
    expected = model.get_text_features(**wanted).pooler_output
    tower = load_text_tower(str(folder), NAMES, prompts_before=3, prompts_after=2)
    torch.testing.assert_close(tower.plain_features(), expected, atol=1e-5, rtol=0)
    assert expected.std(dim=0).max() > 1e-3

    # Prompts that are the embeddings of words are those words.
    encoder = PromptedTextEncoder(tower)
    ids = torch.tensor([40, 41, 42, 43, 44])
    encoder.prompts.copy_(tower.model.get_input_embeddings().weight[ids])
    places = tower.prompt_positions
    said = torch.where(places >= 0, ids[places.clamp(min=0)], tower.tokens)
    mask = None if name == "xclip" else (said != tokenizer.pad_token_id).long()
    expected = model.get_text_features(input_ids=said, attention_mask=mask).pooler_output
    torch.testing.assert_close(encoder(), expected, atol=1e-5, rtol=0)
    assert (encoder() - encoder.plain()).abs().max() > 1e-3
    with torch.enable_grad():
        encoder().pow(3).sum().backward()
    assert encoder.prompts.grad is not None
    assert encoder.prompts.grad.abs().max() > 0


def test_a_folder_belongs_to_the_family_that_its_name_tells(tmp_path: Path) -> None:
    """Of those that share a model type: SigLIP 2 has that of SigLIP."""
    for name in ("siglip-base", "siglip2-base", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "siglip"}')
    found = [
        choose(str(tmp_path / name), "vlp")[0].name for name in ("siglip-base", "siglip2-base")
    ]
    assert found == ["siglip", "siglip2"]
    assert choose(str(tmp_path / "mine"), "vlp")[0].name in ("siglip", "siglip2")


JSON_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.text(max_size=5),
    st.lists(st.integers(-1, 40), max_size=3),
    st.dictionaries(st.sampled_from(["height", "width", "shortest_edge"]), st.integers(-1, 40)),
)


@settings(max_examples=60)
@given(data=st.data())
def test_any_configuration_gives_a_backbone_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, folders: Callable[..., Path], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(["vivit", "xclip", "ast", "hiera", "vjepa2"]))
    folder = tmp_path_factory.mktemp("fuzzed") / "model"
    shutil.copytree(folders(name), folder)
    file = data.draw(st.sampled_from(["config.json", "preprocessor_config.json"]))
    config = json.loads((folder / file).read_text())
    part = config.get("vision_config", config) if data.draw(st.booleans()) else config
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON_VALUES)
    (folder / file).write_text(json.dumps(config))
    with contextlib.suppress(DuetalError):
        (record,) = choose(str(folder), branch(name))
        backbone = record.load(str(folder), None)
        assert backbone.dim > 0
    shutil.rmtree(folder)
