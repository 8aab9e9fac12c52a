"""Every layout opens to the same dataset, and every bad one to a one-line error."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from duetal.core.errors import DuetalError, UsageError
from duetal.core.grid import TimeGrid
from duetal.datasets import open_dataset
from duetal.datasets.problems import Problem, Severity

TRAINING = ("v_a", "v_b", "v_c")
EVALUATION = ("v_d", "v_e")
Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]
Features = Callable[[str], np.ndarray]


def describe(folder: Path, **keys: object) -> None:
    """Write dataset.yaml; JSON is YAML."""
    (folder / "dataset.yaml").write_text(json.dumps(keys))


@pytest.mark.parametrize(
    "layout", ["own_dataset", "two_modality_dataset", "basnet_dataset", "wtalc_dataset"]
)
def test_every_layout(
    layout: str, request: pytest.FixtureRequest, expected_features: Features
) -> None:
    dataset = open_dataset(request.getfixturevalue(layout))
    assert dataset.training == TRAINING
    assert dataset.evaluation == EVALUATION
    assert dataset.missing == ()
    assert dataset.grid == TimeGrid(25, 16, 16)
    assert dataset.streams["cbp"].dim == 6
    for name in TRAINING + EVALUATION:
        np.testing.assert_array_equal(dataset.streams["cbp"].read(name), expected_features(name))
        assert dataset.length(name) == len(expected_features(name))
    assert ("vlp" in dataset.streams) == (layout == "two_modality_dataset")
    # The pack fixes an order of the classes; the others have none of their own.
    in_order = layout == "wtalc_dataset"
    assert dataset.classes == (("HighJump", "Diving") if in_order else ("Diving", "HighJump"))
    weak = dataset.weak()
    assert weak.names == TRAINING
    labels = [[weak.classes[k] for k in np.flatnonzero(row)] for row in weak.labels]
    assert [sorted(present) for present in labels] == [
        ["HighJump"],
        ["Diving"],
        ["Diving", "HighJump"],
    ]
    assert weak.display_names == {"HighJump": "high jump", "Diving": "diving"}


def test_rgb_flow_and_clip(own_dataset: Path, expected_features: Features) -> None:
    for file in (own_dataset / "features").glob("*.npy"):
        for part, channels in (("rgb", slice(2)), ("flow", slice(2, 6)), ("clip", slice(3))):
            target = own_dataset / "features" / part / file.name
            target.parent.mkdir(exist_ok=True)
            np.save(target, np.load(file)[:, channels])
        file.unlink()
    dataset = open_dataset(own_dataset)
    np.testing.assert_array_equal(dataset.streams["cbp"].read("v_b"), expected_features("v_b"))
    np.testing.assert_array_equal(
        dataset.streams["vlp"].read("v_b"), expected_features("v_b")[:, :3]
    )


@pytest.mark.parametrize("clip", ["clip", "vlp"])
def test_streams_beside_the_splits(
    basnet_dataset: Path, clip: str, expected_features: Features
) -> None:
    for name in TRAINING + EVALUATION:
        target = basnet_dataset / "features" / clip / f"{name}.npy"
        target.parent.mkdir(exist_ok=True)
        np.save(target, expected_features(name)[:, :4])
    dataset = open_dataset(basnet_dataset)
    assert {name: stream.dim for name, stream in dataset.streams.items()} == {"cbp": 6, "vlp": 4}


@pytest.mark.parametrize("place", [".", "cbp", "../i3d"])
def test_rgb_and_flow_in_one_folder(
    own_dataset: Path, expected_features: Features, place: str
) -> None:
    folder = own_dataset / "features" / place
    folder.mkdir(exist_ok=True)
    for file in (own_dataset / "features").glob("*.npy"):
        values = np.load(file)
        np.save(folder / f"{file.stem}_flow.npy", values[:, 2:])
        np.save(folder / f"{file.stem}_RGB.npy", values[:, :2])
        file.unlink()
    if place == "../i3d":
        (own_dataset / "dataset.yaml").write_text("cbp: i3d")
    dataset = open_dataset(own_dataset)
    assert dataset.training == TRAINING
    np.testing.assert_array_equal(dataset.streams["cbp"].read("v_d"), expected_features("v_d"))


def _prefixed_features(folder: Path) -> None:
    for file in (folder / "features").iterdir():
        file.rename(file.with_name(file.name.removeprefix("v_")))


def _prefixed_table(folder: Path) -> None:
    rows = "".join(f"x_{name}.mp4\tDiving,HighJump\n" for name in TRAINING)
    (folder / "weak_train.tsv").write_text(f"filename\tevent_labels\n{rows}")


def _spaced_classes(folder: Path) -> None:
    rows = "".join(f"{name}\tdiving,High_Jump\n" for name in TRAINING)
    (folder / "weak_train.tsv").write_text(f"filename\tevent_labels\n{rows}")


@pytest.mark.parametrize(
    ("rename", "rule"),
    [
        (_prefixed_features, "the features with the prefix 'v_' added"),
        (_prefixed_table, "the labels with the prefix 'x_' taken off"),
        (_spaced_classes, "takes them with "),
    ],
)
def test_names_that_do_not_meet(
    own_dataset: Path, rename: Callable[[Path], None], rule: str
) -> None:
    rename(own_dataset)
    with pytest.raises(DuetalError, match=r"match_names: true in dataset\.yaml") as caught:
        open_dataset(own_dataset)
    assert rule in str(caught.value)
    describe(own_dataset, match_names=True)
    notes: list[Problem] = []
    dataset = open_dataset(own_dataset, notes.append)
    assert dataset.training == TRAINING
    assert dataset.evaluation == EVALUATION
    assert [note.severity for note in notes] == [Severity.WARNING]
    assert dataset.weak().labels.shape == (3, 2)


def test_a_table_to_train_on_and_validation_to_evaluate_on(own_dataset: Path) -> None:
    path = own_dataset / "annotations.json"
    database = json.loads(path.read_text())["database"]
    kept = {name: database[name] | {"subset": "validation"} for name in EVALUATION}
    path.write_text(json.dumps({"database": kept}))
    rows = "".join(f"{name}\t{'Diving' if name == 'v_b' else 'HighJump'}\n" for name in TRAINING)
    (own_dataset / "weak_train.tsv").write_text(f"filename\tevent_labels\n{rows}")
    dataset = open_dataset(own_dataset)
    assert (dataset.training, dataset.evaluation) == (TRAINING, EVALUATION)


def test_videos_in_which_nothing_happens_and_one_class(own_dataset: Path) -> None:
    (own_dataset / "annotations.json").unlink()
    (own_dataset / "weak_train.tsv").write_text("filename\tevent_labels\nv_a\tDiving\nv_b\t\n")
    notes: list[Problem] = []
    weak = open_dataset(own_dataset, notes.append).weak()
    assert weak.labels.tolist() == [[True], [False]]
    assert "trained on as a video in which nothing happens (1 in all)" in str(notes[0])
    (own_dataset / "weak_train.tsv").write_text("filename\tevent_labels\nv_a\t\nv_b\t\n")
    with pytest.raises(DuetalError, match="no training video has a label"):
        open_dataset(own_dataset).weak()


def test_rgb_alone_has_to_be_meant(two_modality_dataset: Path) -> None:
    (two_modality_dataset / "features" / "cbp").rename(two_modality_dataset / "features" / "rgb")
    with pytest.raises(DuetalError, match="rgb features without flow"):
        open_dataset(two_modality_dataset)
    describe(two_modality_dataset, cbp="features/rgb")
    assert open_dataset(two_modality_dataset).streams["cbp"].dim == 6


def test_one_file_for_all_videos(own_dataset: Path, expected_features: Features) -> None:
    folder = own_dataset / "features"
    arrays = {file.stem: np.load(file) for file in folder.glob("*.npy")}
    for file in folder.glob("*.npy"):
        file.unlink()
    save_file(arrays, folder / "cbp.safetensors")
    dataset = open_dataset(own_dataset)
    np.testing.assert_array_equal(dataset.streams["cbp"].read("v_e"), expected_features("v_e"))


def test_weak_table_gives_the_training_labels(own_dataset: Path) -> None:
    table = own_dataset / "weak_train.tsv"
    table.write_text("filename\tevent_labels\nv_a.mp4\tDiving,HighJump\nv_b\tDiving\n")
    dataset = open_dataset(own_dataset)
    assert dataset.train_labels == {"v_a": ("Diving", "HighJump"), "v_b": ("Diving",)}
    assert dataset.evaluation == EVALUATION
    assert dataset.annotations.videos["v_a"].labels == ("HighJump",)


def test_weak_table_alone(own_dataset: Path) -> None:
    (own_dataset / "annotations.json").unlink()
    (own_dataset / "labels.csv").write_text('filename,event_labels\nv_a,"x,y"\nv_b,z\n')
    dataset = open_dataset(own_dataset)
    assert dataset.training == ("v_a", "v_b")
    assert dataset.evaluation == ()
    assert dataset.classes == ("x", "y", "z")
    assert dataset.weak().labels.tolist() == [[True, True, False], [False, False, True]]


def test_a_table_of_labels_with_a_split_trains_on_its_training_videos(own_dataset: Path) -> None:
    table = own_dataset / "weak_train.tsv"
    table.write_text("video;labels;split\nv_a;Diving;train\nv_b;HighJump;train\nv_c;Diving;test\n")
    assert open_dataset(own_dataset).training == ("v_a", "v_b")


def test_annotation_without_subsets(own_dataset: Path, edit_annotations: Edit) -> None:
    edit_annotations(
        own_dataset / "annotations.json", lambda d: [v.pop("subset") for v in d.values()]
    )
    assert open_dataset(own_dataset).training == TRAINING + EVALUATION
    table = own_dataset / "weak_train.tsv"
    table.write_text("filename\tevent_labels\nv_a\tHighJump\nv_b\tDiving\n")
    dataset = open_dataset(own_dataset)
    assert dataset.training == ("v_a", "v_b")
    assert dataset.evaluation == ("v_c", *EVALUATION)


def test_features_alone_can_be_localized(own_dataset: Path) -> None:
    (own_dataset / "annotations.json").unlink()
    dataset = open_dataset(own_dataset)
    assert dataset.evaluation == TRAINING + EVALUATION
    assert dataset.training == ()
    with pytest.raises(DuetalError, match="no training video"):
        dataset.weak()


def test_videos_without_features_are_left_out_and_listed(own_dataset: Path) -> None:
    for name in ("v_b", "v_e"):
        (own_dataset / "features" / f"{name}.npy").unlink()
    dataset = open_dataset(own_dataset)
    assert dataset.training == ("v_a", "v_c")
    assert dataset.evaluation == ("v_d",)
    assert dataset.missing == ("v_b", "v_e")


def test_video_without_features_in_one_stream(two_modality_dataset: Path) -> None:
    (two_modality_dataset / "features" / "vlp" / "v_a.npy").unlink()
    dataset = open_dataset(two_modality_dataset)
    assert dataset.missing == ("v_a",)
    assert "v_a" not in dataset.training


# --- dataset.yaml -------------------------------------------------------------------------------


def test_yaml_names_the_pieces(own_dataset: Path, wtalc_dataset: Path, tmp_path: Path) -> None:
    (own_dataset / "features").rename(own_dataset / "clip features")
    (tmp_path / "encoder").mkdir()
    keys = {
        "cbp": "wtalc/Thumos14reduced-I3D-JOINTFeatures.npy",
        "vlp": "own/clip features",
        "annotations": "wtalc/Thumos14reduced-Annotations",
        "text_encoder": "encoder",
        "grid": {"fps": 30, "stride": 8},
        "display_names": {"HighJump": "jumping high"},
        "classes": ["Diving", "HighJump"],
    }
    path = tmp_path / "both.yaml"
    path.write_text(json.dumps(keys))
    dataset = open_dataset(path)
    assert dataset.classes == ("Diving", "HighJump")
    assert dataset.grid == TimeGrid(30, 8, 16)
    assert dataset.text_encoder == str(tmp_path / "encoder")
    assert dataset.display_names == {"HighJump": "jumping high", "Diving": "diving"}
    assert dataset.streams["vlp"].path("v_a") == own_dataset / "clip features" / "v_a.npy"
    assert dataset.weak().labels.tolist() == [[False, True], [True, False], [True, True]]


def test_pack_with_another_annotation(wtalc_dataset: Path, own_dataset: Path) -> None:
    describe(wtalc_dataset, annotations=str(own_dataset / "annotations.json"))
    dataset = open_dataset(wtalc_dataset)
    assert dataset.classes == ("Diving", "HighJump")
    assert dataset.length("v_b") == 16


def test_pack_files_all_in_one_folder(wtalc_dataset: Path) -> None:
    for file in (wtalc_dataset / "Thumos14reduced-Annotations").iterdir():
        file.rename(wtalc_dataset / file.name)
    assert open_dataset(wtalc_dataset).training == TRAINING


def test_yaml_joins_streams_in_its_order(basnet_dataset: Path) -> None:
    describe(basnet_dataset, cbp=["features/train/flow", "features/train/rgb"])
    dataset = open_dataset(basnet_dataset)
    assert [part.title for part in dataset.streams["cbp"].parts] == ["flow", "rgb"]
    assert dataset.streams["cbp"].read("v_a").shape == (8, 6)


def test_text_encoder_from_the_hub(own_dataset: Path) -> None:
    describe(own_dataset, text_encoder="openai/clip-vit-base-patch16")
    assert open_dataset(own_dataset).text_encoder == "openai/clip-vit-base-patch16"


@pytest.mark.parametrize(
    ("keys", "cause"),
    [
        ({"anotations": "x"}, "unknown key 'anotations'; the nearest is 'annotations'"),
        ({"grid": {"frames": 3}}, "unknown key 'frames'"),
        ({"grid": {"stride": 0}}, "grid.stride: Input should be greater than 0"),
        ({"grid": {"fps": "fast"}}, "grid.fps: Input should be a valid number"),
        ({"classes": []}, "classes: "),
        ({"classes": ["a", "a"]}, "a class is listed twice"),
        ({"cbp": 3}, "cbp: Input should be a valid string"),
        ({"display_names": ["a"]}, "display_names: "),
        ([1], "expected keys and values"),
    ],
)
def test_bad_description_is_wrong_usage(own_dataset: Path, keys: object, cause: str) -> None:
    (own_dataset / "dataset.yaml").write_text(json.dumps(keys))
    with pytest.raises(UsageError) as caught:
        open_dataset(own_dataset)
    assert cause in str(caught.value)
    assert str(caught.value).startswith(str(own_dataset / "dataset.yaml"))


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"cbp: [", "line 1: not YAML"),
        (b"cbp: a\n\tvlp: b", "line 2: not YAML"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"!!python/object/apply:os.system ['touch executed']", "not YAML"),
        (b"", "expected keys and values"),
        (b"grid: !!int ''", "not YAML"),
        (b"grid: !!bool x", "not YAML"),
        (b"1: 2", "Keys should be strings"),
        (b"grid: " + b"[" * 5000, "not YAML"),
        (b"&a [*a]", "its aliases make more than 1,000,000 values"),
    ],
)
def test_damaged_description(own_dataset: Path, content: bytes, cause: str) -> None:
    (own_dataset / "dataset.yaml").write_bytes(content)
    with pytest.raises(DuetalError, match=cause):
        open_dataset(own_dataset)
    assert not Path("executed").exists()


# --- bad datasets -------------------------------------------------------------------------------


def _other_class(folder: Path, edit: Edit) -> None:
    (folder / "weak_train.tsv").write_text("filename\tevent_labels\nv_a\tHighJmp\nv_b\tDiving\n")


def _class_list(folder: Path, edit: Edit) -> None:
    describe(folder, classes=["Diving"])


def _leave_folder(folder: Path, edit: Edit) -> None:
    edit(folder / "annotations.json", lambda d: d.update({"../x": d["v_a"]}))


def _twice(folder: Path, edit: Edit) -> None:
    (folder / "weak_train.tsv").write_text("filename\tevent_labels\nv_a\tHighJump\nv_a\t\n")


def _both(folder: Path, edit: Edit) -> None:
    (folder / "weak_train.tsv").write_text("filename\tevent_labels\nv_a\tHighJump\nv_d\tDiving\n")


def _no_videos(folder: Path, edit: Edit) -> None:
    edit(folder / "annotations.json", lambda d: d.clear())


def _other_names(folder: Path, edit: Edit) -> None:
    for file in (folder / "features").iterdir():
        file.rename(file.with_name(f"x{file.name}"))


def _unlike_names(folder: Path, edit: Edit) -> None:
    for number, file in enumerate(sorted((folder / "features").iterdir())):
        file.rename(file.with_name(f"{number}.npy"))


def _no_features(folder: Path, edit: Edit) -> None:
    for file in (folder / "features").iterdir():
        file.unlink()


def _no_folder(folder: Path, edit: Edit) -> None:
    _no_features(folder, edit)
    (folder / "features").rmdir()


def _two_tables(folder: Path, edit: Edit) -> None:
    for name in ("a.tsv", "b.csv"):
        (folder / name).touch()


def _no_encoder(folder: Path, edit: Edit) -> None:
    describe(folder, text_encoder="./encoder")


def _no_piece(folder: Path, edit: Edit) -> None:
    describe(folder, vlp="nowhere")


def _display_name(folder: Path, edit: Edit) -> None:
    describe(folder, display_names={"HighJmp": "high jump"})


@pytest.mark.parametrize(
    ("damage", "file", "cause"),
    [
        (_other_class, "weak_train.tsv", "video 'v_a': label 'HighJmp' is not in the class list"),
        (_class_list, "annotations.json", "label 'HighJump' is not in the class list"),
        (_leave_folder, "annotations.json", "not a usable video name: '../x'"),
        (_twice, "weak_train.tsv", "line 3: 'v_a' is listed twice"),
        (_both, "weak_train.tsv", "video 'v_d': is both to be trained on and to be evaluated on"),
        (_no_videos, "", "empty dataset"),
        (_other_names, "features", "with the prefix 'x' taken off: 'xv_a' is 'v_a'"),
        (_unlike_names, "", "the annotation has 'v_a', the features '0'"),
        (_no_features, "features", "no cbp features"),
        (_no_folder, "", "no features"),
        (_two_tables, "", "which of a.tsv, b.csv is it? Name one in dataset.yaml (train_labels"),
        (_no_encoder, "dataset.yaml", "text_encoder: no such folder: ./encoder"),
        (_no_piece, "nowhere", "no such file or folder"),
        (_display_name, "", "unknown class 'HighJmp'; the nearest is 'HighJump'"),
    ],
)
def test_bad_dataset_is_one_line_with_file_and_cause(
    own_dataset: Path,
    edit_annotations: Edit,
    damage: Callable[[Path, Edit], None],
    file: str,
    cause: str,
) -> None:
    damage(own_dataset, edit_annotations)
    with pytest.raises(DuetalError) as caught:
        open_dataset(own_dataset)
    message = str(caught.value)
    assert message.startswith(str(own_dataset / file))
    assert cause in message
    assert "\n" not in message


def test_not_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(DuetalError, match="no such file or folder"):
        open_dataset(tmp_path / "absent")
    (tmp_path / "x.npy").touch()
    with pytest.raises(DuetalError, match="a dataset is a folder"):
        open_dataset(tmp_path / "x.npy")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DuetalError, match="no features"):
        open_dataset(tmp_path / "empty")


def test_split_list_that_names_an_unknown_video(basnet_dataset: Path) -> None:
    with (basnet_dataset / "split_train.txt").open("a") as file:
        file.write("v_x\n")
    with pytest.raises(DuetalError, match=r"split_train\.txt: line 4: 'v_x' is not annotated"):
        open_dataset(basnet_dataset)


def test_pack_of_other_length_than_its_names(wtalc_dataset: Path) -> None:
    notes = wtalc_dataset / "Thumos14reduced-Annotations"
    np.save(wtalc_dataset / "Thumos14reduced-I3D-JOINTFeatures.npy", np.zeros((4, 8, 6)))
    with pytest.raises(DuetalError, match="4 arrays for 5 video names"):
        open_dataset(wtalc_dataset)
    (notes / "videoname.npy").write_bytes(b"damaged")
    with pytest.raises(DuetalError, match=r"videoname\.npy"):
        open_dataset(wtalc_dataset)


# --- training -----------------------------------------------------------------------------------


def test_class_without_training_video_is_named(own_dataset: Path) -> None:
    table = own_dataset / "weak_train.tsv"
    table.write_text("filename\tevent_labels\nv_b\tDiving\n")
    dataset = open_dataset(own_dataset)
    with pytest.raises(DuetalError, match="class 'HighJump' has no training video"):
        dataset.weak()


def test_class_whose_only_video_has_no_features(own_dataset: Path) -> None:
    for name in ("v_b", "v_c"):
        (own_dataset / "features" / f"{name}.npy").unlink()
    with pytest.raises(DuetalError, match="class 'Diving' has no training video"):
        open_dataset(own_dataset).weak()


def test_streams_of_different_length(two_modality_dataset: Path) -> None:
    file = two_modality_dataset / "features" / "vlp" / "v_b.npy"
    np.save(file, np.load(file)[:-1])
    dataset = open_dataset(two_modality_dataset)
    with pytest.raises(DuetalError) as caught:
        dataset.weak()
    assert caught.value.file == file
    assert str(two_modality_dataset / "features" / "cbp" / "v_b.npy") in str(caught.value)


@pytest.mark.real
def test_real_sensor_sequences(real_data: Path) -> None:
    dataset = open_dataset(real_data / "hapt")
    assert (len(dataset.training), len(dataset.evaluation)) == (259, 107)
    assert len(dataset.classes) == 12
    assert "vlp" not in dataset.streams
    assert dataset.missing == ()
    weak = dataset.weak()
    assert weak.labels.shape == (259, 12)
    # The weak table's labels must be those of the segments.
    annotated = dataset.annotations.videos
    for name, row in zip(weak.names, weak.labels, strict=True):
        assert {weak.classes[k] for k in np.flatnonzero(row)} == set(annotated[name].labels)
    assert dataset.streams["cbp"].read("hapt_e01_u01_w00").shape == (93, 192)
