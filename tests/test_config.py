"""The settings of a run: strict, documented, and their errors to the point."""

import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from duetal.config import (
    RENAMED,
    SETTINGS,
    Config,
    DataSettings,
    Precision,
    Setting,
    load_config,
    make_config,
    read_values,
)
from duetal.core.errors import UsageError
from duetal.method.losses import LossSettings
from duetal.method.pseudo_labels import ScoreRange
from duetal.method.schedule import ScheduleSettings

#: Ten lines that stand for 9**10 strings.
BOMB = "\n".join(
    f"{key}: &{key} [{', '.join([before] * 9)}]"
    for key, before in zip("abcdefghij", ["x", *(f"*{key}" for key in "abcdefghi")], strict=True)
)
#: Settings of where and on what a run happens, which rest on nothing.
UNTAGGED = {
    "dataset",
    "protocol",
    "seed",
    "accelerator",
    "devices",
    "precision",
    "threads",
    "checkpoint_every",
    "tensorboard",
    "cluster",
}


def test_every_setting_is_documented_and_says_what_it_rests_on() -> None:
    for setting, field in SETTINGS.items():
        assert field.description, setting
        tagged = re.match(r"\[[SMNFD]\] \S", field.description) is not None
        assert tagged == (setting.name not in UNTAGGED), setting
    assert {setting.name for setting in SETTINGS} >= UNTAGGED


def test_the_papers_values_are_the_defaults() -> None:
    config = Config()
    data, schedule, vlp = config.data, config.schedule, config.vlp
    assert (data.crop, data.batch_size, schedule.learning_rate) == (1000, 64, 1e-4)
    assert (schedule.warmup_epochs, schedule.b_epochs, schedule.f_epochs) == (10, 20, 20)
    assert (vlp.prompts_before, vlp.prompts_after, vlp.layers) == (16, 16, 2)
    assert vlp.temperature == 0.07


def test_no_zero_means_nothing() -> None:
    """Where a setting may be absent it is None, and 0 is refused or means zero."""
    for setting, field in SETTINGS.items():
        if field.default is None:
            with suppress(UsageError):
                value = make_config({setting: 0}, "test").flat()[setting.key]
                pytest.fail(f"{setting.key} = 0 was taken as {value!r}")


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "dotted"),
    [
        ("crop", "data.crop"),
        ("data.crop", "data.crop"),
        ("embed_dim", "cbp.embed_dim"),
        ("min_score", "localization.min_score"),
        ("nms_method", "localization.nms_method"),
        *RENAMED.items(),
    ],
)
def test_a_setting_has_a_dotted_and_a_short_name(key: str, dotted: str) -> None:
    default = Config().flat()[dotted]
    assert list(read_values({key: default}, "test")) == [Setting(*dotted.split("."))]


def test_a_name_that_two_sections_have_wants_a_section() -> None:
    with pytest.raises(UsageError, match=r"^command line: heads: is it cbp\.heads or vlp\.heads\?"):
        load_config("", "my.yaml", ["heads=2"])
    with pytest.raises(UsageError, match=r"my\.yaml: data\.crop: is set twice"):
        load_config("crop: 16\ndata.crop: 24\n", "my.yaml")


def test_sections_may_be_nested() -> None:
    nested = load_config("data:\n  crop: 16\nlosses: {topk_ratio: 2}\n", "my.yaml")
    assert nested == load_config("data.crop: 16\nlosses.topk_ratio: 2\n", "my.yaml")
    assert (nested.data.crop, nested.losses.topk_ratio) == (16, 2)


@pytest.mark.parametrize("name", ["gradient_clip", "threads", "vlp_learning_rate"])
def test_the_zeros_of_version_0_1_are_none(name: str) -> None:
    assert load_config(f"{name}: 0\n", "my.yaml") == Config()


def test_attention_radius_0_of_version_0_1_is_the_whole_crop() -> None:
    config = load_config("cbp_attention_radius: 0\nvlp_attention_radius: 0\n", "my.yaml")
    assert config.cbp.attention_radius is None
    assert config.vlp.attention_radius is None


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typo", "nearest"),
    [
        ("batchsize", "batch_size"),
        ("lerning_rate", "learning_rate"),
        ("prompts", "prompts_after"),
        ("cbp.head", "cbp.heads"),
        ("loss.topk_ratio", "losses.topk_ratio"),
        ("Crop", "crop"),
        ("f_epoch", "f_epochs"),
    ],
)
def test_an_unknown_key_names_the_nearest(typo: str, nearest: str) -> None:
    expected = f"unknown setting '{typo}'; the nearest is '{nearest}'"
    with pytest.raises(UsageError) as caught:
        load_config(f"crop: 16\n{typo}: 1\n", "my.yaml")
    assert str(caught.value) == f"my.yaml: {expected}"
    with pytest.raises(UsageError) as caught:
        load_config("", "my.yaml", [f"{typo}=1"])
    assert str(caught.value) == f"command line: {expected}"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crop", 7),
        ("crop", 16.5),
        ("crop", "long"),
        ("crop", None),
        ("crop", [16]),
        ("batch_size", 0),
        ("learning_rate", 0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("learning_rate", 1e39),
        ("dropout", 1),
        ("vlp.dropout", -0.1),
        ("thresholds", []),
        ("min_score", -1),
        ("pseudo_high", 1.0),
        ("video_loss", "hinge"),
        ("pseudo_normalization", None),
        ("precision", "16-mixed"),
        ("tensorboard", "perhaps"),
        ("dataset", 7),
        ("devices", 0),
        ("seed", -1),
    ],
)
def test_a_bad_value_names_its_setting(name: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(yaml.safe_dump({name: value}), "my.yaml")
    message = str(caught.value)
    [setting] = read_values({name: value}, "test")
    assert message.startswith(f"my.yaml: {setting.key}")
    assert message.endswith(f", got {value!r}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pseudo_low": 0.95}, ["pseudo_low", "0.95", "pseudo_high", "0.9"]),
        ({"embed_dim": 100}, ["cbp: embed_dim", "100", "heads", "8"]),
        ({"crop": 101}, ["data.crop", "101", "2", "cbp.levels"]),
    ],
)
def test_settings_that_contradict_each_other_are_both_named(
    values: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        make_config(read_values(values, "test"), "my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml: ")
    assert all(word in message for word in words)
    assert "Value error" not in message


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("crop=400", "crop", 400),
        ("learning_rate=1e-3", "learning_rate", 1e-3),
        ("learning_rate=5.0e-4", "learning_rate", 5e-4),
        ("tensorboard=true", "tensorboard", True),
        ("zero_shot_start=off", "zero_shot_start", False),
        ("pseudo_normalization=none", "pseudo_normalization", ScoreRange.NONE),
        ("precision=bf16-mixed", "precision", Precision.BF16),
        # Text stays text, whatever it looks like.
        ("dataset=007", "dataset", "007"),
        ("dataset=yes", "dataset", "yes"),
        ("dataset=a=b", "dataset", "a=b"),
        ("dataset=C:\\data", "dataset", "C:\\data"),
        ("dataset={x", "dataset", "{x"),
        ("dataset=", "dataset", None),
        ("thresholds=[0.2, 0.5]", "thresholds", (0.2, 0.5)),
        ("localization.max_per_class=3", "max_per_class", 3),
        ("max_per_class=", "max_per_class", None),
        ("max_per_class=none", "max_per_class", None),
        ("text_encoder=None", "text_encoder", None),
        ("text_encoder=openai/clip", "text_encoder", "openai/clip"),
    ],
)
def test_overrides(word: str, name: str, value: Any) -> None:
    config = load_config("crop: 16\ndataset: x\n", "my.yaml", [word])
    [section] = [setting.section for setting in SETTINGS if setting.name == name]
    assert getattr(getattr(config, section), name) == value


def test_an_override_wins_and_the_last_one_most() -> None:
    config = load_config("crop: 16\nseed: 3\n", "my.yaml", ["crop=24", "crop=32"])
    assert (config.data.crop, config.schedule.seed) == (32, 3)


def test_a_bad_override_is_blamed_on_the_command_line() -> None:
    with pytest.raises(UsageError, match=r"^command line: data\.crop: .*, got 'many'"):
        load_config("crop: 16\n", "my.yaml", ["crop=many"])
    with pytest.raises(UsageError, match=r"^my\.yaml: data\.crop: .*, got 'many'"):
        load_config("crop: many\n", "my.yaml", ["seed=1"])


@pytest.mark.parametrize("word", ["crop", "crop:16", ""])
def test_an_override_needs_its_equals_sign(word: str) -> None:
    with pytest.raises(UsageError, match=f"expected key=value, got '{word}'"):
        load_config("", "my.yaml", [word])


@pytest.mark.parametrize(
    "setting",
    [
        s
        for s, field in SETTINGS.items()
        if s.section != "localization" and "Ge" in str(field.metadata)
    ],
)
def test_no_number_is_without_bounds(setting: Setting) -> None:
    with pytest.raises(UsageError, match=f"{setting.key}: .*less than"):
        load_config("", "my.yaml", [f"{setting.key}={10**30}"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- crop\n", "my.yaml: not a mapping"),
        ("crop", "my.yaml: not a mapping"),
        ("crop: 16\n  seed: [", "my.yaml: line 2: not YAML"),
        ("a: !!python/object/apply:os.system ['true']", "my.yaml: line 1: not YAML"),
        (BOMB, "my.yaml: its aliases make more than 1,000,000 values"),
        ("a: &a [*a]", "my.yaml: its aliases make more than 1,000,000 values"),
        ("1: 2", "my.yaml: unknown setting '1'"),
    ],
)
def test_what_is_no_recipe_is_said_in_a_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(text, "my.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@given(text=st.text(max_size=60), words=st.lists(st.text(max_size=20), max_size=2))
def test_any_text_is_a_configuration_or_a_usage_error(text: str, words: list[str]) -> None:
    for source in (text, f"crop: {text}", f"{text}: 1"):
        with suppress(UsageError):
            load_config(source, "my.yaml", [*words, *(f"crop={word}" for word in words)])


def test_an_empty_recipe_is_the_defaults() -> None:
    assert load_config("", "my.yaml") == load_config("# nothing\n", "my.yaml") == Config()


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    config = Config(
        data=DataSettings(dataset="007", crop=16),
        schedule=ScheduleSettings(learning_rate=3e-5),
        losses=LossSettings(pseudo_normalization=ScoreRange.NONE),
    )
    config.save(tmp_path / "config.yaml")
    assert load_config((tmp_path / "config.yaml").read_text(), "config.yaml") == config
    # One form for recipes, the command line and what is kept.
    assert "\ncbp.embed_dim: 512\n" in (tmp_path / "config.yaml").read_text()


def test_differences_are_named() -> None:
    mine = Config().replace(crop=16, seed=3, pseudo_normalization=ScoreRange.NONE)
    assert mine.differences(mine) == []
    assert mine.differences(Config()) == [
        "data.crop: 16, not 1000",
        "losses.pseudo_normalization: 'none', not 'video'",
        "schedule.seed: 3, not 0",
    ]
    assert mine.differences(Config(), ignore=["schedule.seed", "data.crop"]) == [
        "losses.pseudo_normalization: 'none', not 'video'"
    ]


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().data.crop = 8
