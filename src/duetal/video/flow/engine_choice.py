"""Choosing an engine of optical flow by its name and device."""

from duetal.core.errors import UsageError, unknown
from duetal.video.flow.interface import FlowEngine, FlowName, TVL1Settings


def open_flow(
    name: FlowName | str,
    settings: TVL1Settings | None = None,
    *,
    device: str = "cpu",
    threads: int = 1,
) -> FlowEngine:
    """The engine of a name. OpenCV, PyTorch and Triton are imported where they are needed.

    Args:
        name: "tvl1" or "opencv".
        settings: parameters; None for the defaults.
        device: where ours runs: "cpu", or any GPU that torch knows, such as "cuda:1". OpenCV's runs
            on the CPU whatever the device.
        threads: pairs of frames that are worked on at once, on the CPU.

    Raises:
        UsageError: an unknown name, fewer than one thread, a setting that the engine does not have,
            or an engine that is not installed.
    """
    if name not in list(FlowName):
        raise UsageError(unknown("flow engine", name, map(str, FlowName)))
    if threads < 1:
        raise UsageError(f"threads: must be at least 1, not {threads}")
    settings = settings or TVL1Settings()
    if name == FlowName.OPENCV:
        from duetal.video.flow.opencv_flow import OpenCVFlow

        return OpenCVFlow(settings, threads=threads)
    if settings.gamma != 0:
        raise UsageError(
            f"gamma: our engine has no illumination term, so it must be 0, not {settings.gamma};"
            " the engine opencv has one"
        )
    if device == "cpu":
        from duetal.video.flow.tvl1_cpu import TVL1Flow

        return TVL1Flow(settings, threads=threads)
    from duetal.video.flow.tvl1_gpu import TorchTVL1Flow

    return TorchTVL1Flow(settings, device=device)
