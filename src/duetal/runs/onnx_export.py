"""A trained run as one ONNX graph, features in and scores out, checked against PyTorch."""

import contextlib
import io
import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duetal import __version__
from duetal.config import Config, EnsembleMean, VideoLoss
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import replacing
from duetal.runs.run import Run
from duetal.runs.scoring import restore
from duetal.runs.stages import branch_of

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: How far a score of ONNX Runtime may lie from PyTorch's.
TOLERANCE = 1e-4
#: Log-odds are kept within ±log((1 - 1e-6) / 1e-6), as in `localization.ensemble`.
_MOST_ODDS = 13.815509557963774


@dataclass(frozen=True)
class Exported:
    """An exported graph, and how it was checked.

    Args:
        path: of the file.
        inputs: name of each input and its C.
        lengths: the T that were checked.
        difference: the largest difference of any score from PyTorch's.
    """

    path: Path
    inputs: dict[str, int]
    lengths: tuple[int, ...]
    difference: float


class ScoringGraph(nn.Module):
    """Features of one video to its scores, as `duetal localize` computes them in one window.

    Args:
        branches: of CBP, of VLP, or of both in this order, in eval mode.
        config: of the run: pooling, video loss, the ensemble's weight and mean.
    """

    def __init__(self, branches: dict[str, nn.Module], config: Config):
        super().__init__()
        self.branches = nn.ModuleDict(branches)
        self._divisor = config.topk_divisor
        self._softmax = config.video_loss is VideoLoss.SOFTMAX
        self._weight = config.ensemble_weight
        self._log_odds = config.ensemble_mean is EnsembleMean.LOG_ODDS

    def forward(self, *features: Tensor) -> tuple[Tensor, Tensor]:
        """Score one video.

        Args:
            features: (T, C) for each branch.

        Returns:
            (T, K) probability of each class at each snippet, and (K,) that the video contains it.
        """
        scored = [
            self._logits(branch, each)
            for branch, each in zip(self.branches.values(), features, strict=True)
        ]
        if len(scored) == 1:
            return torch.sigmoid(scored[0]), self._video(scored[0])
        cbp, vlp = scored
        video = self._mean(self._video(cbp), self._video(vlp))
        if not self._log_odds:
            return self._mean(torch.sigmoid(cbp), torch.sigmoid(vlp)), video
        kept = (each.clamp(-_MOST_ODDS, _MOST_ODDS) for each in scored)
        return torch.sigmoid(self._mean(*kept)), video

    def _logits(self, branch: nn.Module, features: Tensor) -> Tensor:
        """(T, C) → (T, K)."""
        batch = features.unsqueeze(0)
        mask = torch.ones(batch.shape[:2], dtype=torch.bool, device=batch.device)
        logits: Tensor = branch(batch, mask)[0]
        return logits[0]

    def _video(self, logits: Tensor) -> Tensor:
        """(T, K) → (K,), as `model.scoring.video_probabilities`."""
        count = (logits.shape[0] + self._divisor - 1) // self._divisor
        pooled = torch.topk(logits, count, dim=0).values.mean(dim=0)
        return torch.softmax(pooled, dim=0) if self._softmax else torch.sigmoid(pooled)

    def _mean(self, cbp: Tensor, vlp: Tensor) -> Tensor:
        return (1 - self._weight) * cbp + self._weight * vlp


def export_onnx(run: Run, stages: list[str], path: Path) -> Exported:
    """Write a run's scoring as an ONNX file, and check it in ONNX Runtime before it is there.

    The graph reads a whole video at once, of any length T; `duetal localize` reads longer ones than
    the training crop in windows that overlap. The names of the classes, the time grid, the crop
    and the rule that chose the checkpoint are in the file's metadata.

    Args:
        run: a trained run.
        stages: one checkpoint; or one of CBP and one of VLP, for their ensemble.
        path: the file.

    Raises:
        UsageError: ONNX is not installed.
        DuetalError: a damaged checkpoint, scores that differ by more than 1e-4, or a file that
            can't be written.
    """
    _require_onnx()
    branches = {branch_of(stage): restore(run, stage).eval() for stage in stages}
    graph = ScoringGraph(branches, run.config).eval()
    channels = run.model.channels
    inputs = {
        f"{name}_features": channels.cbp if name == "cbp" else int(channels.vlp or 0)
        for name in branches
    }
    # Not too short: a traced length of 1 would be taken for a constant.
    example = _features(inputs, 4 * run.config.topk_divisor + 3, seed=0)
    with replacing(path) as temporary:
        program = _trace(graph, example, list(inputs))
        for key, value in _metadata(run, stages).items():
            program.model.metadata_props[key] = value
        program.save(temporary, external_data=False)
        lengths, difference = _check(graph, temporary, inputs, run.config.crop, run.folder.path)
        if not difference <= TOLERANCE:
            cause = f"ONNX Runtime's scores differ from PyTorch's by {difference:.1e}; not written"
            raise DuetalError(cause, file=path)
    return Exported(path, inputs, lengths, difference)


def _require_onnx() -> None:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        cause = f"needs {error.name}, which is not installed: pip install 'duetal[onnx]'"
        raise UsageError(cause) from error


def _trace(graph: ScoringGraph, example: tuple[Tensor, ...], names: list[str]) -> Any:
    """The graph as an ONNX program with a free T. The exporter's own chatter is kept back."""
    time = torch.export.Dim.DYNAMIC
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        # Of operators of torchvision, which nothing here needs.
        disabled = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            return torch.onnx.export(
                graph,
                example,
                dynamo=True,
                verbose=False,
                input_names=names,
                output_names=["snippet_scores", "video_scores"],
                dynamic_shapes=(tuple({0: time} for _ in names),),
            )
        finally:
            logging.disable(disabled)


def _metadata(run: Run, stages: list[str]) -> dict[str, str]:
    grid = run.model.grid
    return {
        "duetal": __version__,
        "classes": json.dumps(run.model.classes, ensure_ascii=False),
        "grid": json.dumps({"fps": grid.fps, "stride": grid.stride, "window": grid.window}),
        "stages": json.dumps(stages),
        "crop": str(run.config.crop),
        "selection": run.model.rule(stages),
    }


def _features(inputs: dict[str, int], length: int, seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(length, width, generator=generator) for width in inputs.values())


def _check(
    graph: ScoringGraph, path: Path, inputs: dict[str, int], crop: int, source: Path
) -> tuple[tuple[int, ...], float]:
    """The lengths tried, and the largest difference of a score from PyTorch's.

    Raises:
        DuetalError: PyTorch's own scores are not finite; names the run, `source`.
    """
    session = _session(path)
    lengths = (1, 2, 3, 7, 8, 9, 64, 65, crop - 1, crop, crop + 1, 2 * crop + 5)
    worst = 0.0
    for length in lengths:
        features = _features(inputs, length, seed=length)
        with torch.inference_mode():
            expected = [scores.numpy() for scores in graph(*features)]
        if not all(np.isfinite(scores).all() for scores in expected):
            cause = "its weights give scores that are not finite; training diverged"
            raise DuetalError(cause, file=source)
        fed = {name: each.numpy() for name, each in zip(inputs, features, strict=True)}
        found: list[NDArray[np.float32]] = session.run(None, fed)
        for a, b in zip(expected, found, strict=True):
            # NaN, too, is a difference.
            worst = max(worst, float(np.abs(a - b).max(initial=0.0)))
            worst = worst if a.shape == b.shape and np.isfinite(b).all() else float("inf")
    return lengths, worst


def _session(path: Path) -> "InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
