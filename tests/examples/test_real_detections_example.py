from pathlib import Path
from typing import Any

import pytest


@pytest.mark.real
def test_both_conventions_are_printed(
    real_data: Path, tmp_path: Path, load_example: Any, run_example: Any
) -> None:
    main = load_example("real_detections").main
    done = run_example(main, real_data / "thumos14", cwd=tmp_path)
    rows = [line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["mAP"]]
    # mAP at tIoU 0.5 under each, as README states them.
    assert [row[5] for row in rows] == ["7.40", "8.18"]
    assert done.stdout.count("200 videos, 3,007 segments, 33,895 predictions") == 2
