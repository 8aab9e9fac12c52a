"""Image encoders beside the library's own forward and a slow preprocessing from the definition."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from duetal.backbones.clip import ImageEncoder, load_image_encoder
from duetal.backbones.pretrained import quiet
from duetal.backbones.text_towers import load_text_tower
from duetal.core.errors import DuetalError
from duetal.simulation.tiny_clip import make_tiny_clip

quiet()
from transformers import (  # noqa: E402 - importing them warns by default
    AlignConfig,
    AlignModel,
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextModelWithProjection,
    CLIPVisionModelWithProjection,
    EfficientNetImageProcessor,
    Siglip2Config,
    Siglip2ImageProcessor,
    Siglip2Model,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

Image = NDArray[np.uint8]

TOWER = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
VISION = TOWER | {"image_size": 32, "patch_size": 8}
TEXT = TOWER | {"vocab_size": 50, "max_position_embeddings": 16}
# The configuration's default marks lie outside so small a vocabulary.
TEXT |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
TOWERS = {"text_config": TEXT, "vision_config": VISION}
CLIP_32 = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
SQUARE_32 = {"size": {"height": 32, "width": 32}}
NAMES = ["HighJump", "Diving", "CleanAndJerk"]
SAID = ["high jump", "diving", "clean and jerk"]


def picture(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def encode(encoder: ImageEncoder, pictures: Iterable[Tensor]) -> Tensor:
    """Features of prepared pictures (3, h, w), as the pipeline asks for them."""
    return encoder.encode(torch.stack(list(pictures))[:, None])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    make_tiny_clip(folder, dimension=16)
    return folder


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("siglip")
    torch.manual_seed(0)
    SiglipModel(SiglipConfig(**TOWERS)).save_pretrained(folder)
    SiglipImageProcessor(**SQUARE_32).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> ImageEncoder:
    """A tiny CLIP that looks at pictures as the real one does: 224 x 224, default preprocessing."""
    folder = tmp_path_factory.mktemp("full_size")
    vision = VISION | {"image_size": 224, "patch_size": 112}
    CLIPModel(CLIPConfig(text_config=TEXT, vision_config=vision)).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    return load_image_encoder(str(folder))


# --- preprocessing -----------------------------------------------------------------------------

MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711])
#: One grey level of a picture, after division by the smallest deviation.
LEVEL = 1 / 255 / 0.26130258


def cubic(x: float) -> float:
    """Keys's kernel with a = -1/2."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def resampling(old: int, new: int) -> NDArray[np.float64]:
    """(new, old) weights of a bicubic resize whose kernel widens with the scale."""
    scale = old / new
    widening = max(scale, 1.0)
    weights = np.zeros((new, old))
    for i in range(new):
        centre = (i + 0.5) * scale
        for j in range(old):
            weights[i, j] = cubic((j + 0.5 - centre) / widening)
    return weights / weights.sum(axis=1, keepdims=True)


def slow_preprocessing(image: Image, side: int = 224) -> NDArray[np.float64]:
    """CLIP's preprocessing by its description: short side, centre, range, mean and deviation."""
    height, width = image.shape[:2]
    short = min(height, width)
    new_height, new_width = int(side * height / short), int(side * width / short)
    x = np.einsum("wv,hvc->hwc", resampling(width, new_width), image.astype(float))
    x = np.clip(np.rint(x), 0, 255)
    x = np.einsum("gh,hwc->gwc", resampling(height, new_height), x)
    x = np.clip(np.rint(x), 0, 255)
    top, left = (new_height - side) // 2, (new_width - side) // 2
    x = x[top : top + side, left : left + side]
    return ((x / 255 - MEAN) / DEVIATION).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("height", "width"),
    [(240, 320), (256, 341), (360, 270), (224, 224), (1, 1), (1, 3), (3, 4), (4, 1), (50, 7)],
)
def test_preprocessing_is_clips(full_size: ImageEncoder, height: int, width: int) -> None:
    image = picture(height, width)
    pixels = full_size.prepare(image)
    assert pixels.dtype == torch.float32
    assert pixels.shape == (3, 224, 224)
    difference = np.abs(pixels.numpy() - slow_preprocessing(image))
    # Pillow's weights are whole numbers: at most a grey level, and seldom.
    assert difference.max() < 1.01 * LEVEL
    assert difference.mean() < 0.02 * LEVEL


@pytest.mark.parametrize("shape", [(4320, 7680), (2, 4096), (4096, 2)])
def test_a_plain_picture_of_any_size_stays_plain(
    full_size: ImageEncoder, shape: tuple[int, int]
) -> None:
    colour = np.array([200, 100, 50], np.uint8)
    pixels = full_size.prepare(np.broadcast_to(colour, (*shape, 3)))
    expected = torch.from_numpy(((colour / 255 - MEAN) / DEVIATION).astype(np.float32))
    torch.testing.assert_close(pixels, expected[:, None, None].expand(3, 224, 224))


def test_a_very_long_picture_is_seen_at_its_middle(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the library, which would resize all of it first: 1 x 100000 pixels to 15 GB."""
    encoder = load_image_encoder(str(clip))
    processor, sizes = encoder._processor, []

    def record(image: Image, **settings: Any) -> Any:
        sizes.append(image.shape)
        return processor(image, **settings)

    monkeypatch.setattr(encoder, "_processor", record)
    wave = 127 + 100 * np.sin(np.arange(30 * 32) / 7)
    image = np.broadcast_to(wave[None, :, None], (32, 30 * 32, 3)).astype(np.uint8)
    library = CLIPImageProcessor.from_pretrained(clip)(image, return_tensors="pt")
    torch.testing.assert_close(encoder.prepare(image), library["pixel_values"][0])
    columns = encoder.prepare(np.ascontiguousarray(image.swapaxes(0, 1)))
    torch.testing.assert_close(columns, library["pixel_values"][0].transpose(1, 2))
    encoder.prepare(np.zeros((1, 100_000, 3), np.uint8))
    assert max(max(size) // min(size[:2]) for size in sizes) <= 8


def test_siglip_sees_the_whole_picture(siglip: Path) -> None:
    encoder = load_image_encoder(str(siglip))
    image = np.zeros((10, 400, 3), np.uint8)
    image[:, :50] = 255
    pixels = encoder.prepare(image)
    assert pixels.shape == (3, 32, 32)
    # SigLIP: mean and deviation 0.5, no crop; an eighth of the width is white.
    assert pixels[:, :, :3].min() == 1
    assert pixels[:, :, 6:].max() == -1


def test_preprocessing_from_many_threads(full_size: ImageEncoder) -> None:
    images = [picture(90 + 7 * i, 160 + 5 * i, i) for i in range(24)]
    alone = [full_size.prepare(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(full_size.prepare, images * 3))
    assert all(torch.equal(x, alone[i % 24]) for i, x in enumerate(together))


# --- features ----------------------------------------------------------------------------------


@torch.no_grad()
def test_the_stand_in_distinguishes_pictures(clip: Path) -> None:
    """With the library's own small weights, noise and noise are 0.996 alike."""
    encoder = load_image_encoder(str(clip))
    pixels = [encoder.prepare(picture(40, 60, seed)) for seed in range(4)]
    unit = F.normalize(encode(encoder, pixels), dim=-1)
    assert (unit @ unit.T).fill_diagonal_(0).max() < 0.9


@torch.no_grad()
def test_zero_shot_is_the_librarys(clip: Path) -> None:
    """The two encoders of one folder speak of the same space."""
    images = [picture(40, 60, seed) for seed in range(3)]
    encoder = load_image_encoder(str(clip))
    seen = encode(encoder, [encoder.prepare(image) for image in images])
    texts = load_text_tower(str(clip), NAMES).plain_features()
    model = CLIPModel.from_pretrained(clip).eval()
    tokens = AutoTokenizer.from_pretrained(clip)(SAID, padding=True, return_tensors="pt")
    pixels = CLIPImageProcessor.from_pretrained(clip)(images, return_tensors="pt")
    expected = model(**tokens, **pixels).logits_per_image
    cosines = F.normalize(seen, dim=-1) @ F.normalize(texts, dim=-1).T
    torch.testing.assert_close(model.logit_scale.exp() * cosines, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_others_with_the_interface_work_by_naming_them(tmp_path: Path) -> None:
    small = {"image_size": 64, "width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 12}
    AlignModel(
        AlignConfig(text_config=TEXT, vision_config=small, projection_dim=32)
    ).save_pretrained(tmp_path)
    square = {"height": 64, "width": 64}
    EfficientNetImageProcessor(size=square, do_center_crop=False).save_pretrained(tmp_path)
    aligned = load_image_encoder(str(tmp_path))
    pixels = aligned.prepare(picture(30, 50))[None]
    model = AlignModel.from_pretrained(tmp_path).eval()
    expected = model.vision_model(pixels).pooler_output
    torch.testing.assert_close(encode(aligned, pixels), expected)


def test_the_encoder_is_frozen_and_light(clip: Path) -> None:
    encoder = load_image_encoder(str(clip))
    assert not encoder.model.training
    names = dict(encoder.model.named_parameters())
    assert not any(parameter.requires_grad for parameter in names.values())
    assert not any("text" in name for name in names)
    encoder.model.half()
    assert encode(encoder, torch.zeros(1, 3, 32, 32)).dtype == torch.float32


def test_half_precision_weights_are_read_in_full(tmp_path: Path, clip: Path) -> None:
    shutil.copytree(clip, tmp_path, dirs_exist_ok=True)
    CLIPModel.from_pretrained(clip).half().save_pretrained(tmp_path)
    encoder = load_image_encoder(str(tmp_path))
    assert {parameter.dtype for parameter in encoder.model.parameters()} == {torch.float32}


# --- refusals ----------------------------------------------------------------------------------


def without(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: x for name, x in tensors.items() if not name.startswith(prefix)}


def change_weights(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        path = folder / "model.safetensors"
        save_file(change(load_file(path)), path, metadata={"format": "pt"})

    return apply


def write(name: str, content: bytes | None) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_bytes(content)

    return apply


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def text_alone(folder: Path) -> None:
    CLIPTextModelWithProjection.from_pretrained(folder).save_pretrained(folder)


def pictures_alone(folder: Path) -> None:
    CLIPVisionModelWithProjection.from_pretrained(folder).save_pretrained(folder)


def other(folder: Path, family: str, head: str) -> None:
    """A model of another kind, which is told before its weights are read."""
    import transformers

    sizes = TOWER if family == "Bert" else TOWER | {"image_size": [32, 32], "patch_size": 16}
    config = getattr(transformers, f"{family}Config")(**sizes, num_labels=3)
    getattr(transformers, f"{family}{head}")(config).save_pretrained(folder)


def patches_of_any_shape(folder: Path) -> None:
    """SigLIP 2's NaFlex, which cuts pictures of any shape into patches."""
    vision = TOWER | {"patch_size": 8, "num_patches": 16}
    model = Siglip2Model(Siglip2Config(text_config=TEXT, vision_config=vision))
    model.save_pretrained(folder)
    Siglip2ImageProcessor(patch_size=8, max_num_patches=16).save_pretrained(folder)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (only_pickle, "no model.safetensors; pytorch_model.bin is a pickle"),
        (write("model.safetensors", None), "no model.safetensors$"),
        (write("model.safetensors", b"\x10" * 100), "cannot load: "),
        (
            change_weights(lambda x: without(x, "vision_model.encoder")),
            r"no weights of this model: vision_model.encoder.* \(and \d+ others\) is missing",
        ),
        (
            change_weights(lambda x: without(x, "visual_projection")),
            "no weights of this model: visual_projection.weight is missing",
        ),
        (
            change_weights(lambda x: x | {"visual_projection.weight": torch.zeros(2, 2)}),
            r"another model: visual_projection.weight is \(2, 2\), not \(16, 16\)",
        ),
        (text_alone, "is a text encoder alone"),
        (pictures_alone, "is not an image-text model"),
        (
            lambda folder: other(folder, "ViT", "ForImageClassification"),
            "ViTModel is not an image-",
        ),
        (
            lambda folder: other(folder, "Yolos", "ForObjectDetection"),
            "YolosModel is not an image-",
        ),
        (lambda folder: other(folder, "Bert", "Model"), "BertModel is not an image-text model"),
        (patches_of_any_shape, "does not take pictures of one size"),
        (write("preprocessor_config.json", None), "preprocessor_config.json"),
        (write("preprocessor_config.json", b"{"), "cannot load: "),
        (
            write("preprocessor_config.json", b'{"image_processor_type": "SiglipImageProcessor"}'),
            "CLIPModel cannot be used: Input image size",
        ),
        (write("config.json", None), "cannot load: "),
        (write("config.json", b'{"model_type": "none"}'), "cannot load: "),
    ],
)
def test_an_unfit_model_is_refused(
    tmp_path: Path, clip: Path, damage: Callable[[Path], object], reason: str
) -> None:
    folder = Path(shutil.copytree(clip, tmp_path / "model"))
    damage(folder)
    with pytest.raises(DuetalError, match=reason) as caught:
        load_image_encoder(str(folder))
    message = str(caught.value)
    assert message.startswith(f"{folder}: image encoder: ")
    assert "\n" not in message


def test_a_models_own_code_is_not_run(tmp_path: Path, clip: Path) -> None:
    folder = Path(shutil.copytree(clip, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "theirs", "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: ...\n")
    with pytest.raises(DuetalError, match="cannot load"):
        load_image_encoder(str(folder))
    assert not (tmp_path / "ran").exists()


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
def test_any_configuration_gives_an_encoder_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, clip: Path, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzzed")
    shutil.copytree(clip, folder, dirs_exist_ok=True)
    name = data.draw(st.sampled_from(["config.json", "preprocessor_config.json"]))
    config = json.loads((folder / name).read_text())
    part = config
    if name == "config.json":
        part = config[data.draw(st.sampled_from(["vision_config", "text_config"]))]
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON_VALUES)
    (folder / name).write_text(json.dumps(config))
    with contextlib.suppress(DuetalError):
        encoder = load_image_encoder(str(folder))
        pixels = encoder.prepare(picture(5, 9))
        assert encode(encoder, [pixels]).shape == (1, encoder.dim)
    shutil.rmtree(folder)
