"""Every setting of a run, in sections: typed, documented, strict.

A recipe is one flat YAML file of `section.name: value`; on the command line the same is
`section.name=value`. The short name is enough where one section alone has it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import Field, ValidationError, field_validator
from pydantic.fields import FieldInfo

from duetal.core.errors import DuetalError, UsageError, unknown
from duetal.core.files import parse_yaml, write_text
from duetal.core.known_times import LabelSettings
from duetal.core.settings_section import Settings
from duetal.detector.detector_settings import DetectorSettings
from duetal.localization.localization_settings import LocalizationSettings
from duetal.method.method_settings import MethodSettings
from duetal.method.sampling import SamplingSettings
from duetal.method.zero_shot import ZeroShotSettings


class Precision(StrEnum):
    """The numbers in which the network computes; losses, weights and updates stay in 32 bits.

    float16 is missing on purpose: it needs a scale of the loss that is found by trial, and a
    resumed run would have to find it again.
    """

    FULL = "32-true"
    BF16 = "bf16-mixed"


class DataSettings(SamplingSettings):
    """The dataset, and how training reads it."""

    dataset: str | None = None
    """The dataset's folder or YAML file; given on the command line or in the recipe."""
    start_from: str | None = None
    """[D] The finished run whose weights training starts from: `duetal train --from RUN`."""
    text_encoder: str | None = None
    """[S] The frozen CLIP text encoder (ViT-B/16): a local folder or a hub name; or a `.npy` file
    of class embeddings, with which VLP trains its temporal layers alone. None: what the dataset
    names."""
    cbp: str | None = None
    """[D] Which features CBP reads of a store of several backbones, such as videoprism; i3d is RGB
    and flow. None: those that the dataset names for it."""
    vlp: str | None = None
    """[D] Which features VLP reads, such as clip; their model is its text encoder too. None: those
    that the dataset names for it."""
    protocol: str = "seconds"
    """The evaluation protocol of the table that ends a run, where test segments are known."""
    branches: tuple[str, ...] | None = None
    """[D] The branches to train; a dataset without the features of one is refused. None: those that
    the dataset has features for."""

    seen_classes: tuple[str, ...] | None = None
    """[F] The classes to train on. The others are then found by their words, and scored apart (open
    vocabulary). None: all."""
    seen_share: float | None = Field(None, gt=0, lt=1)
    """[F] Or the share of the classes to train on, drawn at random: 0.75 or 0.5 in the field."""
    class_split: int = Field(0, ge=0, le=1_000_000)
    """[F] Which draw of `seen_share` it is; the field averages over ten."""

    @property
    def choice(self) -> dict[str, str]:
        """The features of each branch that is told which to read."""
        return {name: one for name in ("cbp", "vlp") if (one := getattr(self, name)) is not None}

    @field_validator("dataset", "text_encoder", "cbp", "vlp")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None


class MachineSettings(Settings):
    """The devices of a run, and what it writes on the way. None of it changes what is learnt."""

    accelerator: str = "auto"
    """Lightning Fabric's accelerator: auto, cpu, cuda, mps."""
    devices: int = Field(1, ge=1, le=1024)
    """Processes of this machine that share the batch."""
    precision: Precision = Precision.FULL
    """Lightning Fabric's precision: 32-true, or bf16-mixed."""
    threads: int | None = Field(None, ge=1, le=4096)
    """CPU threads of each process, where PyTorch is not to choose."""
    checkpoint_every: int = Field(1, ge=1, le=1_000_000)
    """Epochs between the checkpoints that `--resume` starts from."""
    cluster: str = "local"
    """The Ray cluster of `mode=async`: local (this machine), auto (the one that it is part of),
    HOST:PORT or ray://HOST:PORT. Every machine reads the dataset and writes the run's folder."""
    tensorboard: bool = False
    """Also write TensorBoard events (needs `pip install duetal[tensorboard]`)."""


class TuningSettings(Settings):
    """What is chosen before training, from training features and a held-out share of labels."""

    choose: tuple[str, ...] = ()
    """[D] The settings to choose, by dotted name, as recipe `auto` does; those given on the command
    line are kept."""
    held_out: float = Field(0.25, gt=0, le=0.5)
    """[D] Share of the training videos whose labels judge the candidates. In the end all are
    trained on."""
    updates: int = Field(1000, ge=1, le=1_000_000)
    """[D] Updates of the warm-up, for which the epochs are chosen."""


class Config(MethodSettings):
    """All settings of a training run."""

    data: DataSettings = DataSettings()
    labels: LabelSettings = LabelSettings()
    detector: DetectorSettings = DetectorSettings()
    localization: LocalizationSettings = LocalizationSettings()
    machine: MachineSettings = MachineSettings()
    tuning: TuningSettings = TuningSettings()
    zero_shot: ZeroShotSettings = ZeroShotSettings()

    def flat(self) -> dict[str, Any]:
        """Every setting as a plain value, by its dotted name."""
        return dict(_flatten(self.model_dump(mode="json")))

    def differences(self, other: "Config", ignore: Collection[str] = ()) -> list[str]:
        """The settings in which two configurations differ, as "section.name: mine, not theirs"."""
        theirs = other.flat()
        return [
            f"{key}: {mine!r}, not {theirs[key]!r}"
            for key, mine in self.flat().items()
            if key not in ignore and mine != theirs[key]
        ]

    def replace(self, **values: Any) -> "Config":
        """The same settings with some changed, by short name. Values are not validated."""
        found = {_find_setting(key, "replace"): value for key, value in values.items()}
        changed = {
            section: getattr(self, section).model_copy(update=update)
            for section, update in _by_section(found).items()
        }
        return self.model_copy(update=changed)

    def save(self, path: Path) -> None:
        """Write every setting as a flat YAML file, which is a recipe too."""
        write_text(path, yaml.safe_dump(self.flat(), sort_keys=False))


class Setting(NamedTuple):
    """A setting by the name of its section and its own."""

    section: str
    name: str

    @property
    def key(self) -> str:
        """The dotted name."""
        return f"{self.section}.{self.name}"


#: Every setting, in order.
SETTINGS: dict[Setting, FieldInfo] = {
    Setting(section, name): info
    for section, field in Config.model_fields.items()
    for name, info in field.annotation.model_fields.items()  # type: ignore[union-attr]
}

#: The settings that version 0.1.0 named otherwise; its recipes and runs are read on.
RENAMED = {
    "vlp_learning_rate": "schedule.b_learning_rate",
    "cbp_width": "cbp.embed_dim",
    "cbp_levels": "cbp.levels",
    "cbp_blocks": "cbp.blocks",
    "cbp_heads": "cbp.heads",
    "cbp_attention_radius": "cbp.attention_radius",
    "dropout": "cbp.dropout",
    "vlp_layers": "vlp.layers",
    "vlp_heads": "vlp.heads",
    "vlp_attention_radius": "vlp.attention_radius",
    "vlp_dropout": "vlp.dropout",
    "vlp_init": "vlp.init",
    "topk_divisor": "losses.topk_ratio",
    "soft_nms_sigma": "localization.nms_sigma",
}
#: What version 0.1.0 did where there are settings now: they go with its names.
_IN_0_1 = {
    "cbp.interpolation": False,
    "cbp.channel_dropout": 0.0,
    "vlp.classes_compete": False,
    "vlp.input_normalization": False,
    "vlp.positions": 0,
    "losses.sum_classes": True,
    "losses.weigh_labels": False,
    "losses.pooling_warmup": 0.0,
    "schedule.background_only": True,
    "schedule.averaging": None,
    "schedule.calibration": False,
}
#: The settings in which 0 meant "none" or "all" in version 0.1.0.
_ZERO_WAS_NONE = {
    "gradient_clip",
    "threads",
    "vlp_learning_rate",
    "cbp_attention_radius",
    "vlp_attention_radius",
}


def load_config(text: str, source: Path | str, overrides: Iterable[str] = ()) -> Config:
    """Make a configuration of a YAML text and `key=value` arguments of the command line.

    The text is one mapping of settings, dotted, short or nested in sections; it came from `source`,
    which error messages name. The values of arguments are read as YAML scalars.

    Raises:
        UsageError: not a mapping, an unknown key (with the nearest known one), a bad value.
    """
    try:
        content = parse_yaml(text)
    except DuetalError as error:
        raise UsageError(error.cause, file=source, place=error.place) from error
    if not isinstance(content, dict | None):
        raise UsageError("not a mapping of settings to values", file=source)
    given = parse_overrides(overrides)
    return make_config(read_values(content or {}, source) | given, source, given)


def read_values(content: Mapping[Any, Any], source: Path | str) -> dict[Setting, Any]:
    """The settings of a YAML mapping.

    Raises:
        UsageError: an unknown or ambiguous key, or one setting twice.
    """
    values: dict[Setting, Any] = {}
    for key, value in _flatten({str(key): value for key, value in content.items()}):
        setting = _find_setting(key, source)
        if setting in values:
            raise UsageError("is set twice", file=source, place=setting.key)
        was_zero = key in _ZERO_WAS_NONE and value == 0 and value is not False
        values[setting] = None if was_zero else value
    if RENAMED.keys() <= content.keys():  # all of its settings, as it kept them
        if values.get(_find_setting("score_function", source)) == "softmax":
            values[_find_setting("score_function", source)] = "softmax_without_background"
        for key, value in _IN_0_1.items():
            values.setdefault(_find_setting(key, source), value)
    return values


def parse_overrides(overrides: Iterable[str]) -> dict[Setting, Any]:
    """Read `key=value` arguments; of one setting the last counts.

    Raises:
        UsageError: an argument without "=" or with an unknown key.
    """
    values: dict[Setting, Any] = {}
    for argument in overrides:
        key, equals, value = argument.partition("=")
        if not equals:
            raise UsageError(f"expected key=value, got {argument!r}")
        setting = _find_setting(key, "command line")
        if SETTINGS[setting].annotation in (str, str | None):
            # Text stays as typed, even when it looks like a number.
            values[setting] = value
            continue
        try:
            values |= read_values({key: parse_yaml(value)}, "command line")
        except Exception as error:
            raise UsageError(f"value {value!r} cannot be read", place=key) from error
    return values


def make_config(
    values: Mapping[Setting, Any], source: Path | str, overridden: Collection[Setting] = ()
) -> Config:
    """Validate settings that came from `source`, those `overridden` from the command line.

    Raises:
        UsageError: naming the first setting at fault, and where it came from.
    """
    try:
        config = Config.model_validate(_by_section(values))
    except ValidationError as error:
        first = error.errors()[0]
        location = first["loc"]
        cause = first["msg"].removeprefix("Value error, ")
        given = f", got {first['input']!r}" if len(location) > 1 else ""
        is_typed = len(location) > 1 and Setting(*map(str, location[:2])) in overridden
        raise UsageError(
            f"{cause}{given}",
            file="command line" if is_typed else source,
            place=".".join(str(part) for part in location) or None,
        ) from error
    wanted = [_find_setting(name, source).key for name in config.tuning.choose]
    typed = {setting.key for setting in overridden}
    if "losses.topk_ratio" in typed:
        typed.add("losses.class_ratios")  # They would outdo it.
    return config.replace(choose=tuple(key for key in wanted if key not in typed))


def _by_section(values: Mapping[Setting, Any]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for setting, value in values.items():
        sections.setdefault(setting.section, {})[setting.name] = value
    return sections


def _flatten(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if key in Config.model_fields and isinstance(value, Mapping):
            for name, inner in value.items():
                yield f"{key}.{name}", inner
        else:
            yield key, value


def _find_setting(key: str, source: Path | str) -> Setting:
    """The setting that a dotted or short name, or a name of version 0.1.0, means.

    Raises:
        UsageError: unknown (with the nearest), or several sections have a setting of that name.
    """
    section, _, name = RENAMED.get(key, key).rpartition(".")
    found = [s for s in SETTINGS if s.name == name and section in ("", s.section)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{key}: is it {' or '.join(s.key for s in found)}?", file=source)
    names = [s.name for s in SETTINGS] + [s.key for s in SETTINGS if "." in key]
    raise UsageError(unknown("setting", key, names), file=source)
