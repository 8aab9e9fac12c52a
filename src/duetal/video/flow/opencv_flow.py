"""TV-L1 flow as OpenCV computes it: the reference that the field's features were made with."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.array_types import Singles
from duetal.core.errors import UsageError
from duetal.video.flow.interface import FlowName, TVL1Settings, flow_by_pair, pyramid_sizes

_MIN_SIDE = 3  #: Below it OpenCV's gradients read beside the image.


class OpenCVFlow:
    """OpenCV's DualTVL1, on the CPU.

    It computes `threads` pairs at once, and switches off OpenCV's own threads for the process,
    because many pairs side by side are faster than one in parts.

    Raises:
        UsageError: opencv-contrib is not installed.
    """

    name = FlowName.OPENCV

    def __init__(self, settings: TVL1Settings, *, threads: int = 1):
        self.settings, self.threads = settings, threads
        self._cv2 = _import_cv2()
        self._cv2.setNumThreads(1)

    def __call__(self, grey: NDArray[np.uint8]) -> Singles:
        """Flow (N, H, W, 2) of frames (N + 1, H, W); see `FlowEngine`."""
        return flow_by_pair(self._pair, grey, self.threads)

    def _pair(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Singles:
        height, width = first.shape
        missing = ((0, max(_MIN_SIDE - height, 0)), (0, max(_MIN_SIDE - width, 0)))
        padded = [np.pad(frame, missing, mode="edge") for frame in (first, second)]
        settings = self.settings
        # New for each pair: it has buffers inside, which threads must not share.
        engine = self._cv2.optflow.DualTVL1OpticalFlow_create()
        engine.setTau(settings.tau)
        engine.setLambda(settings.lambda_)
        engine.setTheta(settings.theta)
        # No more than it will use: it would try to make one level beyond, even of no pixels.
        engine.setScalesNumber(len(pyramid_sizes(padded[0].shape, settings)))
        engine.setWarpingsNumber(settings.warps)
        engine.setEpsilon(settings.epsilon)
        engine.setInnerIterations(settings.inner_iterations)
        engine.setOuterIterations(settings.outer_iterations)
        engine.setScaleStep(settings.scale_step)
        engine.setGamma(settings.gamma)
        engine.setMedianFiltering(settings.median_filtering)
        flow: Singles = engine.calc(*padded, None)
        return flow[:height, :width]


def _import_cv2() -> Any:
    needed = 'the flow engine opencv needs opencv-contrib: pip install "duetal[opencv]"'
    try:
        import cv2
    except ImportError as error:
        raise UsageError(needed) from error
    if not hasattr(cv2, "optflow"):  # the package without contrib has the same name
        raise UsageError(needed)
    return cv2
