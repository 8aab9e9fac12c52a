"""What the features of a store depend on, chosen or read back from a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from duetal.backbones import BACKBONES
from duetal.backbones.presets import known_record
from duetal.backbones.protocol import BackboneRecord
from duetal.backbones.tuned_weights import TunedWeights
from duetal.backbones.weights import split_hash
from duetal.core.errors import UsageError
from duetal.core.grid import TimeGrid
from duetal.features.metadata import Settings
from duetal.video.flow.interface import FlowName, TVL1Settings

DTYPES = ("float16", "float32")
TEN_CROPS = 10
#: Pixels of the central square, where a store without cropped frames does not name them.
_CROP = 224


@dataclass(frozen=True, slots=True)
class ExtractionSettings:
    """All that the features of a store depend on.

    The defaults are how the field's features are made. Impossible values raise UsageError.
    """

    #: Which features are made, in the order in which they are joined.
    backbones: tuple[BackboneRecord, ...] = BACKBONES
    #: By backbone, where they are not those that `BackboneRecord.weights` names.
    weights: Mapping[str, str] = field(default_factory=dict)
    grid: TimeGrid = field(default_factory=TimeGrid)
    #: Squares of each picture whose features are kept: 1, or 10 (corners and middle, mirrored).
    crops: int = 1
    #: Pixels that frames are resized to.
    short_side: int = 256
    #: Pixels of the central square that backbones read.
    crop: int = _CROP
    #: The engine that computes the flow, and its parameters.
    flow: FlowName = FlowName.TVL1
    flow_settings: TVL1Settings = field(default_factory=TVL1Settings)
    #: "float16" or "float32", as which features are stored.
    dtype: str = "float16"
    #: Whether networks multiply in bfloat16, on a device that does.
    bf16: bool = False
    #: By backbone, what a run has trained of its weights.
    tuned: Mapping[str, TunedWeights] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.backbones:
            raise UsageError("backbones: at least one is needed")
        if not 1 <= self.grid.stride <= self.grid.window:
            cause = f"the stride must be from 1 to the window's {self.grid.window} frames"
            raise UsageError(f"grid: {cause}, not {self.grid.stride}")
        if self.crops not in (1, TEN_CROPS):
            raise UsageError(f"crops: must be 1 or {TEN_CROPS}, not {self.crops}")
        on_grid = []
        for record in self.backbones:
            try:
                on_grid.append(replace(record, input=record.input.on(self.grid, self.crops)))
            except ValueError as error:
                raise UsageError(f"grid: {record.name} {error}") from error
        object.__setattr__(self, "backbones", tuple(on_grid))
        # Backbones halve their input five times.
        if not 32 <= self.crop <= self.short_side:
            cause = f"crop: must be from 32 to the short side of {self.short_side}"
            raise UsageError(f"{cause} pixels, not {self.crop}")
        if self.dtype not in DTYPES:
            raise UsageError(f"dtype: must be one of {', '.join(DTYPES)}, not {self.dtype!r}")

    @classmethod
    def usual(
        cls, backbones: Sequence[BackboneRecord] = BACKBONES, **chosen: Any
    ) -> "ExtractionSettings":
        """The settings that the weights of backbones were trained for, but for those chosen.

        Of a grid its `fps`, `stride` and `window` can be chosen one by one.

        UsageError for an impossible value, or backbones that were trained for different settings.
        """
        inputs = [record.input for record in backbones]
        rates = {(one.fps, one.stride) for one in inputs}
        part = {name: chosen.pop(name) for name in ("fps", "stride", "window") if name in chosen}
        if not ("grid" in chosen or part.keys() >= {"fps", "stride"}) and len(rates) > 1:
            raise UsageError("backbones of different time grids need stores of their own")
        sizes = {(one.short_side, one.crop) for one in inputs if one.crop is not None}
        if not chosen.keys() >= {"short_side", "crop"} and len(sizes) > 1:
            raise UsageError("backbones of different sizes: name short_side and crop")
        usual: dict[str, Any] = {}
        for fps, stride in rates:
            # Those of fewer frames read the middle of the longest window.
            grid = TimeGrid(fps, stride, max(one.window for one in inputs))
            usual["grid"] = replace(grid, **part)
        for short_side, crop in sizes:
            usual |= {"short_side": short_side, "crop": crop}
        return cls(tuple(backbones), **usual | chosen)

    @classmethod
    def recorded(
        cls,
        stored: Settings,
        weights: Mapping[str, str],
        backbones: Sequence[BackboneRecord] = (),
        tuned: Mapping[str, TunedWeights] = MappingProxyType({}),
    ) -> "ExtractionSettings":
        """The settings with which a store's features were made, from its stored ones.

        `weights` names, by backbone, those that are no longer where they were; `backbones` are
        known besides those of the package; `tuned` is what a run has trained.

        Raises:
            UsageError: an impossible value.
            AttributeError, KeyError, TypeError, ValueError: not settings of this version.
        """
        known = {record.name: record for record in backbones}
        names = stored["modalities"]
        engine = dict(stored.get("flow_engine", {}))
        short_side = stored["short_side"]
        for name in names:
            if stored[name].get("tuned") and name not in tuned:
                cause = f"{name}: features of a backbone that a run has trained"
                raise UsageError(f"{cause}; duetal localize RUN makes more of them")
        return cls(
            tuple(known.get(name) or known_record(name, stored[name]) for name in names),
            {name: weights.get(name) or str(stored[name]["name"]) for name in names},
            grid=TimeGrid(**stored["grid"]),
            crops=stored.get("crops", 1),
            short_side=short_side,
            crop=stored.get("crop", min(_CROP, short_side)),
            flow=FlowName(engine.pop("engine", FlowName.TVL1)),
            flow_settings=TVL1Settings(**engine),
            dtype=stored["dtype"],
            bf16=bool(stored.get("bf16", False)),
            tuned={name: tuned[name] for name in names if name in tuned},
        )

    @property
    def sources(self) -> dict[str, str]:
        """The weights of each backbone, as the user names them."""
        return {one.name: self.weights.get(one.name, one.weights) for one in self.backbones}

    def from_anywhere(self) -> "ExtractionSettings":
        """The same with absolute paths of weights: other processes begin in other folders."""
        weights = self.sources
        for backbone, source in weights.items():
            name, _ = split_hash(source)
            weights[backbone] = absolute(name) + source[len(name) :]
        return replace(self, weights=weights)


def absolute(name: str) -> str:
    """A local path as it is called in any folder; another name of weights as it is."""
    path = Path(name).expanduser()
    return str(path.absolute()) if path.exists() else name
