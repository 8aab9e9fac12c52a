"""A real method's detections on THUMOS14's training videos against the real ground truth.

    python examples/real_detections.py ../shared/data/thumos14

evaluates `detections_train.json` (33,895 detections of a weakly supervised method) twice: in
seconds against `gt.json`, and on the snippet grid against the W-TALC pack's annotation. The two
differ on identical detections, which is why every score is printed with its protocol.
"""

import argparse
from pathlib import Path

from duetal.cli.main import cli


def main() -> None:
    """Run `duetal evaluate` under both conventions."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="the folder with THUMOS14's annotations")
    data = parser.parse_args().data
    evaluate(data, "gt.json", "thumos14/seconds-210")
    evaluate(data, "Thumos14reduced-Annotations", "thumos14/grid-212")


def evaluate(data: Path, truth: str, protocol: str) -> None:
    """`duetal evaluate DETECTIONS --annotations TRUTH --protocol PROTOCOL --subset train`."""
    words = ["evaluate", str(data / "detections_train.json"), "--annotations", str(data / truth)]
    words += ["--protocol", protocol, "--subset", "train"]
    print(f"\n$ duetal {' '.join(words)}", flush=True)
    cli.main(words, standalone_mode=False)


if __name__ == "__main__":
    main()
