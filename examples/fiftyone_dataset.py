"""Detections and annotations side by side in a dataset of FiftyOne's, corrected there, and back.

    duetal convert found.json found/labels.json --to fiftyone --videos clips
    duetal convert truth.json truth/labels.json --to fiftyone --videos clips
    python examples/fiftyone_dataset.py load diving clips --predictions found --ground-truth truth
    python examples/fiftyone_dataset.py evaluate diving
    fiftyone app launch diving
    python examples/fiftyone_dataset.py save diving corrected
    duetal convert corrected corrected.json --tier predictions --as annotations

It runs in a Python with FiftyOne, and needs nothing of duetal's. Detections are in the field
`predictions`, annotations in `ground_truth`. In Python, `fiftyone.load_dataset("diving")` gives the
dataset, whose samples' fields are corrected and saved.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

try:
    import fiftyone as fo
except ImportError:
    raise SystemExit("FiftyOne is not installed: pip install fiftyone") from None

#: Overlaps of prediction and ground truth from which they match, as in the protocol `seconds`.
TIOU = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def load(name: str, videos: Path, labels: Mapping[str, Path]) -> fo.Dataset:
    """Make a dataset of videos with the labels of each field; of a file, or of a folder with it.

    A dataset of the name is replaced.
    """
    dataset = fo.Dataset(name, overwrite=True, persistent=True)
    for field, place in labels.items():
        dataset.merge_dir(
            dataset_type=fo.types.FiftyOneTemporalDetectionDataset,
            data_path=str(videos.absolute()),
            labels_path=str((place / "labels.json" if place.is_dir() else place).absolute()),
            label_field=field,
        )
    # The frame rates, by which frames become seconds again.
    dataset.compute_metadata()
    return dataset


def evaluate(dataset: fo.Dataset) -> dict[float, float]:
    """FiftyOne's own mAP at each overlap; the matches of the last are marked on the labels."""
    found = {}
    for tiou in TIOU:
        results = dataset.evaluate_detections(
            "predictions",
            gt_field="ground_truth",
            eval_key="eval",
            method="activitynet",
            compute_mAP=True,
            iou=tiou,
            iou_threshs=[tiou],
            progress=False,
        )
        found[tiou] = float(results.mAP())
    return found


def save(dataset: fo.Dataset, folder: Path) -> None:
    """Export all fields in FiftyOne's own form, without copies of the videos."""
    dataset.export(
        str(folder), dataset_type=fo.types.FiftyOneDataset, export_media=False, overwrite=True
    )


def main() -> None:
    """Load, evaluate or save a dataset."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    loading = commands.add_parser("load", help="make a dataset of videos and labels.json")
    loading.add_argument("name")
    loading.add_argument("videos", type=Path)
    loading.add_argument("--predictions", type=Path, required=True)
    loading.add_argument("--ground-truth", type=Path)
    commands.add_parser("evaluate", help="mAP at each overlap").add_argument("name")
    saving = commands.add_parser("save", help="export all fields, for duetal convert")
    saving.add_argument("name")
    saving.add_argument("folder", type=Path)
    options = parser.parse_args()
    if options.command == "load":
        labels = {"predictions": options.predictions, "ground_truth": options.ground_truth}
        given = {field: place for field, place in labels.items() if place is not None}
        print(f"{options.name}: {len(load(options.name, options.videos, given))} videos")
    elif options.command == "evaluate":
        for tiou, mean_ap in evaluate(fo.load_dataset(options.name)).items():
            print(f"tIoU {tiou:.1f}: mAP {100 * mean_ap:.2f} %")
    else:
        save(fo.load_dataset(options.name), options.folder)


if __name__ == "__main__":
    main()
