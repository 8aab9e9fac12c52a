"""Where the pieces of a dataset lie, in each layout that is read as it is distributed.

Our own layout::

    annotations.json          ActivityNet JSON; and/or a weak table *.tsv, *.csv for training
    dataset.yaml              optional, names any piece that lies elsewhere
    features/<id>.npy         one stream; or features/cbp/ and features/vlp/;
                              or features/rgb/ and features/flow/ (joined), and features/clip/ (VLP)

The feature store of `duetal extract` is of the last kind; see `duetal.extraction.store`.

The BaS-Net layout has `features/{train,test}/{rgb,flow}/<id>.npy`, `gt.json` and perhaps
`split_train.txt` and `split_test.txt`; others keep `<id>_rgb.npy` and `<id>_flow.npy` in one
folder. What is not split by subset, as `features/clip/`, lies beside what is. The W-TALC pack has
`*-JOINTFeatures.npy` and `*-Annotations/`. They differ from ours in single pieces, so each piece is
looked for by itself in every place it is known to lie.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import is_url
from duetal.core.grid import TimeGrid
from duetal.core.url_paths import UrlPath, as_path
from duetal.datasets.description import Description, read_description
from duetal.features.containers import CONTAINER_SUFFIXES
from duetal.features.metadata import SETTINGS_FILE, read_settings
from duetal.features.places import Place
from duetal.features.streams import SUFFIXES, has_ending
from duetal.formats.wtalc import is_wtalc

#: The parts of I3D, which are chosen by one name.
_I3D = ("rgb", "flow")
_YAML_SUFFIXES = (".yaml", ".yml")
_WEAK_TABLES = ("weak_train.tsv", "weak_train.csv", "train_labels.tsv", "train_labels.csv")
_SPLITS = ("train", "training", "val", "validation", "test", "testing")


@dataclass(frozen=True, slots=True)
class PartPlaces:
    """Where the files of one part of a stream lie: several places hold different videos."""

    title: str
    places: tuple[Path, ...]
    #: Where several parts lie in one folder: what the names of its files end in, after the video's.
    ending: str | None = None
    #: The same part in other datasets, each with videos that those before it may lack.
    others: "tuple[PartPlaces, ...]" = ()


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of a dataset; none has been read."""

    source: Path  #: What the user named.
    streams: Mapping[str, tuple[PartPlaces, ...]]  #: Parts in the order of their channels.
    annotations: Path | None = None
    train_labels: Path | None = None  #: Weak labels, where they are a piece of their own.
    train_list: Path | None = None  #: Names of the training videos, one a line.
    test_list: Path | None = None  #: Names of the evaluated videos, one a line.
    pack_names: Path | None = None  #: The .npy that names the videos of a W-TALC pack.
    text_encoder: str | None = None  #: An absolute folder or `.npy`, or a name on the hub.
    grid: TimeGrid = field(default_factory=TimeGrid)
    display_names: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None  #: Their order, where it is given.
    match_names: bool = False  #: Whether names that differ by one rule are taken for the same.


def find_pieces(path: Path, choice: Mapping[str, str] | None = None) -> Pieces:
    """Find the pieces of the dataset at a folder or a YAML file.

    `choice` names, by branch, other features that it reads: one of `streams` of `dataset.yaml`, or
    what lies in `features/`, "i3d" being `rgb` and `flow`.

    Raises:
        DuetalError: nothing there, no features, none of a chosen name, or several files where one
            is looked for.
        UsageError: a bad `dataset.yaml`.
    """
    if isinstance(path, UrlPath):
        path.refresh()
    if path.is_dir():
        folder, yaml_file = path, _first_file(path, "dataset.yaml", "dataset.yml")
    elif path.suffix in _YAML_SUFFIXES and path.exists():
        folder, yaml_file = path.parent, path
    elif path.exists():
        raise DuetalError("a dataset is a folder or a .yaml file", file=path)
    else:
        raise DuetalError("no such file or folder", file=path)
    description = Description() if yaml_file is None else read_description(yaml_file)

    others = [find_pieces(_beside(folder, each), choice) for each in description.features_of]
    _require_one_kind(others, path)
    annotations = _named(folder, description.annotations) or _find_annotations(folder)
    train_labels = _named(folder, description.train_labels) or _find_weak_table(folder)
    return Pieces(
        source=path,
        streams=_joined(others) if others else _streams(folder, description, choice or {}),
        annotations=annotations,
        train_labels=None if train_labels == annotations else train_labels,
        train_list=_existing(folder / "split_train.txt"),
        test_list=_existing(folder / "split_test.txt"),
        pack_names=_find_pack_names(folder, annotations),
        text_encoder=_stored_encoder(folder, (choice or {}).get("vlp"))
        or _text_encoder(folder, description.text_encoder, yaml_file)
        or next((one.text_encoder for one in others if one.text_encoder), None),
        grid=others[0].grid if others else description.grid,
        display_names={label: name for one in others for label, name in one.display_names.items()}
        | description.display_names,
        classes=None if description.classes is None else tuple(description.classes),
        match_names=description.match_names,
    )


def _require_one_kind(others: Sequence[Pieces], path: Path) -> None:
    """Check that the features of several datasets go together; a UsageError if not."""
    for other in others[1:]:
        first = others[0]
        kinds = [
            {name: len(parts) for name, parts in one.streams.items()} for one in (first, other)
        ]
        if kinds[0] != kinds[1] or first.grid != other.grid:
            what = "time grid" if kinds[0] == kinds[1] else "streams of features"
            cause = f"{first.source} and {other.source} have not the same {what}"
            raise UsageError(cause, file=path, place="features_of")


def _joined(datasets: Sequence[Pieces]) -> dict[str, tuple[PartPlaces, ...]]:
    """The streams of several datasets as one: each fills in the videos that the first lacks."""
    first, *others = datasets
    return {
        name: tuple(
            replace(part, others=tuple(other.streams[name][number] for other in others))
            for number, part in enumerate(parts)
        )
        for name, parts in first.streams.items()
    }


def _streams(
    folder: Path, description: Description, choice: Mapping[str, str]
) -> dict[str, tuple[PartPlaces, ...]]:
    """The streams of features, the one of the CBP branch first."""
    named = {"cbp": description.cbp, "vlp": description.vlp} | description.streams
    found = {"cbp": _find_cbp, "vlp": _find_vlp}
    streams = {}
    for branch, places in named.items():
        if branch in choice:
            chosen = choice[branch]
            of_yaml = _named_parts(chosen, folder, description.streams.get(chosen))
            streams[branch] = of_yaml or _chosen_parts(folder, chosen, branch)
        else:
            streams[branch] = _named_parts(branch, folder, places) or (
                found[branch](folder) if branch in found else ()
            )
    return {name: parts for name, parts in streams.items() if parts}


def _chosen_parts(folder: Path, name: str, branch: str) -> tuple[PartPlaces, ...]:
    """The parts of a stream that is called by its backbone."""
    roots = _feature_roots(folder)
    parts = _I3D if name == "i3d" else (name,)
    places = {part: _places(roots, part) for part in parts if "/" not in part}
    if not places or not all(places.values()):
        stems = {file.name.partition(".")[0] for root in roots if root.is_dir()
                 for file in root.iterdir()}  # fmt: skip
        there = ", ".join(sorted(stems)[:20]) or "none"
        raise DuetalError(f"no {name} features; there are {there}", file=folder, place=branch)
    return tuple(PartPlaces(part, found) for part, found in places.items())


def stream_names(folder: Path) -> tuple[str, ...]:
    """The backbones whose features a store holds, each once; none where it is no store."""
    if not (folder / SETTINGS_FILE).is_file():
        return ()
    names = map(str, read_settings(Place(folder))["modalities"])
    return tuple(dict.fromkeys("i3d" if name in _I3D else name for name in names))


def chosen_by(parts: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The choice, as `find_pieces` takes it, of the parts of each branch; none of others' joins."""
    names = {branch: "i3d" if tuple(own) == _I3D else own[0] for branch, own in parts.items()}
    return {b: n for b, n in names.items() if n == "i3d" or len(parts[b]) == 1}


def _stored_encoder(folder: Path, name: str | None) -> str | None:
    """The model that made chosen features of a store, whose text encoder goes with them."""
    if name is None or not (folder / SETTINGS_FILE).is_file():
        return None
    described = read_settings(Place(folder)).get(name)
    return str(described["name"]) if isinstance(described, dict) and "name" in described else None


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None


def _first_file(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _beside(folder: Path, name: str) -> Path:
    """What `dataset.yaml` names: relative to its folder, or anywhere by a URL."""
    place = as_path(name) if is_url(name) else folder / name
    if isinstance(place, UrlPath):
        place.refresh()
    return place


def _named(folder: Path, name: str | None) -> Path | None:
    return None if name is None else _beside(folder, name)


def _named_parts(title: str, folder: Path, names: str | list[str] | None) -> tuple[PartPlaces, ...]:
    if isinstance(names, list):
        return tuple(PartPlaces(Path(name).name, (_beside(folder, name),)) for name in names)
    return () if names is None else parts_at(title, (_beside(folder, names),))


def _only(files: Sequence[Path], folder: Path, key: str) -> Path | None:
    """The only file of a kind; of several, the user has to name one."""
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:4])
        cause = f"which of {names} is it? Name one in dataset.yaml ({key}: …)"
        raise DuetalError(cause, file=folder)
    return files[0] if files else None


def _find_annotations(folder: Path) -> Path | None:
    if (own := _first_file(folder, "annotations.json")) is not None:
        return own
    if pack_folders := _pack_folders(folder):
        return _only(pack_folders, folder, "annotations")
    if (of_basnet := _first_file(folder, "gt.json")) is not None:
        return of_basnet
    others = sorted(file for file in folder.glob("*.json") if file.name != SETTINGS_FILE)
    return _only(others, folder, "annotations")


def _pack_folders(folder: Path) -> list[Path]:
    """The annotation folders of a W-TALC pack; some keep its files beside the features."""
    return [f for f in (folder, *sorted(folder.glob("*-Annotations"))) if is_wtalc(f)]


def _find_pack_names(folder: Path, annotations: Path | None) -> Path | None:
    """The names that go with a pack's arrays, also where another annotation is used."""
    folders = ([] if annotations is None else [annotations]) + _pack_folders(folder)
    return next((f / "videoname.npy" for f in folders if (f / "videoname.npy").is_file()), None)


def _find_weak_table(folder: Path) -> Path | None:
    if (named := _first_file(folder, *_WEAK_TABLES)) is not None:
        return named
    tables = sorted([*folder.glob("*.tsv"), *folder.glob("*.csv")])
    return _only(tables, folder, "train_labels")


def _splits(folder: Path) -> tuple[Path, ...]:
    """The folders of the splits' features (BaS-Net)."""
    root = folder / "features"
    return tuple(root / split for split in _SPLITS if (root / split).is_dir())


def _feature_roots(folder: Path) -> tuple[Path, ...]:
    """Where the folders of parts may lie: in those of the splits, or beside them."""
    return (*_splits(folder), folder / "features")


def _places(roots: Sequence[Path], name: str) -> tuple[Path, ...]:
    """Where the part `name` lies under the roots: a folder, or one file for all videos."""
    candidates = [
        root / f"{name}{suffix}" for root in roots for suffix in ("", *sorted(CONTAINER_SUFFIXES))
    ]
    return tuple(path for path in candidates if path.exists())


def _find_cbp(folder: Path) -> tuple[PartPlaces, ...]:
    pack = _only(sorted(folder.glob("*-JOINTFeatures.npy")), folder, "cbp")
    if pack is not None:
        return (PartPlaces("cbp", (pack,)),)
    roots = _feature_roots(folder)
    whole = _places(roots, "cbp")
    if whole:
        return parts_at("cbp", whole)
    rgb, flow = _places(roots, "rgb"), _places(roots, "flow")
    if rgb and flow:
        return (PartPlaces("rgb", rgb), PartPlaces("flow", flow))
    if rgb or flow:
        there, missing = ("rgb", "flow") if rgb else ("flow", "rgb")
        cause = f"{there} features without {missing}; to use them alone, name them in dataset.yaml"
        raise DuetalError(cause, file=(rgb or flow)[0])
    root = folder / "features"
    joint = _splits(folder) or ((root,) if root.is_dir() else _places([folder], "features"))
    if not joint:
        cause = "no features: neither a folder features/ nor a *-JOINTFeatures.npy"
        raise DuetalError(cause, file=folder)
    return parts_at("cbp", joint)


def parts_at(title: str, places: tuple[Path, ...]) -> tuple[PartPlaces, ...]:
    """A stream's part; or its two, where RGB and flow lie in one folder."""
    if _in_one_folder(places):
        return (PartPlaces("rgb", places, "rgb"), PartPlaces("flow", places, "flow"))
    return (PartPlaces(title, places),)


def _in_one_folder(places: Sequence[Path]) -> bool:
    """Whether the files are called `<id>_rgb` or `<id>_flow`, and there are both."""
    listed = [file for place in places if place.is_dir() for file in place.iterdir()]
    files = [f for f in listed if f.suffix in SUFFIXES and not f.name.startswith(".")]
    # `video_features` writes two more beside them.
    files = [f for f in files if not f.stem.endswith(("_fps", "_timestamps_ms"))]
    rgb, flow = (sum(has_ending(f.stem, end) for f in files) for end in ("rgb", "flow"))
    return bool(rgb and flow and rgb + flow == len(files))


def _find_vlp(folder: Path) -> tuple[PartPlaces, ...]:
    roots = _feature_roots(folder)
    places = _places(roots, "vlp") or _places(roots, "clip")
    return (PartPlaces("vlp", places),) if places else ()


def looked_for(name: str) -> str:
    """Where the features of a branch are looked for, in words."""
    if name == "vlp":
        where = "vlp or clip, in features/ or its train/ and test/, "
    else:
        where = f"features/{name}, "
    return f"{where}a folder or one file (.h5, .npz, .safetensors), and {name}: in dataset.yaml"


def _text_encoder(folder: Path, name: str | None, yaml_file: Path | None) -> str | None:
    """A folder or `.npy` beside the YAML file or, where there is none of that name, a hub name."""
    if name is None:
        return None
    place = _beside(folder, name)
    if place.is_dir() or (name.endswith(".npy") and place.is_file()):
        return str(place.absolute())
    # A hub name is "model" or "owner/model"; what starts like a path was meant as one.
    if name.startswith((".", "/", "~")) or name.endswith(".npy") or name.count("/") > 1:
        what = "file" if name.endswith(".npy") else "folder"
        raise DuetalError(f"no such {what}: {name}", file=yaml_file, place="text_encoder")
    return name
