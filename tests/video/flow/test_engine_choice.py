"""Which engine of flow is opened for a name, and what is refused."""

import importlib.machinery
import importlib.util
import subprocess
import sys

import pytest

from duetal.core.errors import UsageError
from duetal.video.flow.interface import FlowName, TVL1Settings, open_flow


@pytest.mark.parametrize("name", list(FlowName))
def test_an_engine_is_opened_by_name(name: FlowName) -> None:
    settings = TVL1Settings(epsilon=0.05)
    engine = open_flow(str(name), settings)
    assert engine.name is name
    assert engine.settings == settings
    assert open_flow(name).settings == TVL1Settings()


def test_an_unknown_engine_brings_up_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown flow engine 'tvl2'; the nearest is 'tvl1'"):
        open_flow("tvl2")


def test_no_threads_are_refused() -> None:
    with pytest.raises(UsageError, match="threads: must be at least 1, not 0"):
        open_flow("tvl1", threads=0)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_our_engine_refuses_the_illumination_term(device: str) -> None:
    with pytest.raises(UsageError, match=r"gamma: .* must be 0, not 0\.5"):
        open_flow("tvl1", TVL1Settings(gamma=0.5), device=device)


@pytest.mark.parametrize("installed", ["nothing", "opencv without contrib"])
def test_without_opencv_contrib_the_extra_is_named(
    installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = importlib.util.module_from_spec(importlib.machinery.ModuleSpec("cv2", None))
    monkeypatch.setitem(sys.modules, "cv2", None if installed == "nothing" else plain)
    with pytest.raises(UsageError, match=r'pip install "duetal\[opencv\]"'):
        open_flow("opencv")


def test_our_engine_needs_neither_opencv_nor_torch() -> None:
    code = (
        "import sys; from duetal.video.flow.interface import open_flow; open_flow('tvl1');"
        "assert not {'cv2', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
