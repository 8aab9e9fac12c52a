import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "real_detections.py"


@pytest.mark.real
def test_both_conventions_are_printed(real_data: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE, real_data / "thumos14"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["mAP"]]
    # mAP at tIoU 0.5 under each, as README states them.
    assert [row[5] for row in rows] == ["7.40", "8.18"]
    assert done.stdout.count("200 videos, 3,007 segments, 33,895 predictions") == 2
