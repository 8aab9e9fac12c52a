"""A trained run as one ONNX graph, features in and scores out, checked against PyTorch."""

import contextlib
import io
import json
import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duetal import __version__
from duetal.config import Config
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import replacing
from duetal.detector.detecting import decode
from duetal.detector.pyramid import PyramidDetector
from duetal.localization.ensemble import branch_weights
from duetal.localization.localization_settings import EnsembleMean
from duetal.method.layers import BranchNetwork
from duetal.method.losses import classes_compete
from duetal.runs.detector_stage import restore_detector
from duetal.runs.run import Run
from duetal.runs.stage_scoring import restore

#: How far a score of ONNX Runtime may lie from PyTorch's; of a place, as a part of it.
TOLERANCE = 1e-4
#: The range of log-odds in `duetal.localization.ensemble`.
_MAX_LOG_ODDS = math.log((1 - 1e-6) / 1e-6)


class ExportedGraph(NamedTuple):
    """C by input, the T that were checked, and the largest difference from PyTorch's outputs."""

    inputs: dict[str, int]
    lengths: tuple[int, ...]
    difference: float


class ScoringGraph(nn.Module):
    """Features of one video to its scores, as `duetal localize` computes them in one window.

    `networks`, in eval mode, are of one branch, or of several for their ensemble. The settings of
    the run say how scores are pooled and joined.
    """

    outputs = ("snippet_scores", "video_scores")
    _temperatures: Tensor
    _ratios: Tensor

    def __init__(self, networks: Sequence[BranchNetwork], config: Config):
        super().__init__()
        self.networks = nn.ModuleList(networks)
        ratios = torch.tensor(config.losses.pooling, dtype=torch.float64)
        self.register_buffer("_ratios", ratios.reshape(1, -1))
        self._compete = [classes_compete(network, config.losses) for network in networks]
        settings, several = config.localization, len(networks) > 1
        self._kind = settings.ensemble_mean if several else EnsembleMean.PROBABILITY
        weights = branch_weights(len(networks), settings.ensemble_weight)
        self.register_buffer("_weights", torch.tensor(weights))
        self.register_buffer("_temperatures", torch.stack([net.temperature for net in networks]))

    def forward(self, *features: Tensor) -> tuple[Tensor, Tensor]:
        """Score one video by the features (T, C) of each branch.

        Gives the probability of each class at each snippet (T, K), and that the video has it (K,).
        """
        scored = [
            network(x.unsqueeze(0), torch.ones_like(x[None, :, 0], dtype=torch.bool))[0]
            for network, x in zip(self.networks, features, strict=True)
        ]
        logits = torch.cat(scored)
        video = self._mean(self._pool(logits))
        logits = logits / self._temperatures[:, None, None]
        if self._kind is EnsembleMean.LOG_ODDS:
            return torch.sigmoid(self._mean(logits.clamp(-_MAX_LOG_ODDS, _MAX_LOG_ODDS))), video
        curves = torch.sigmoid(logits)
        if self._kind is EnsembleMean.PROBABILITY:
            return self._mean(curves), video
        low, high = curves.amin(dim=1, keepdim=True), curves.amax(dim=1, keepdim=True)
        stretched = (curves - low) / torch.where(high > low, high - low, 1.0)
        return torch.lerp(self._mean(low), self._mean(high), self._mean(stretched)), video

    def _pool(self, logits: Tensor) -> Tensor:
        """(N, T, K) → (N, K), as `duetal.method.video_scoring.video_probabilities`."""
        rank = torch.arange(logits.shape[1], device=logits.device).unsqueeze(-1)
        # A snippet is among the top ceil(T / ratio) where its rank, from 0, is below T / ratio.
        taken = rank < logits.shape[1] / self._ratios
        highest = logits.sort(dim=1, descending=True).values
        pooled = torch.where(taken, highest, 0.0).sum(dim=1) / taken.sum(dim=0)
        several = pooled.shape[1] > 1
        return torch.stack(
            [
                torch.softmax(row, dim=0) if compete and several else torch.sigmoid(row)
                for row, compete in zip(pooled, self._compete, strict=True)
            ]
        )

    def _mean(self, values: Tensor) -> Tensor:
        """Over the branches: (N, …) → (…)."""
        return torch.einsum("n,n...->...", self._weights, values)


class DetectorGraph(nn.Module):
    """Features of one video to what the detector's positions predict, before soft-NMS.

    `detector` is in eval mode; `teachers` score the video, by their places among the streams.
    """

    outputs = ("scores", "start", "end", "video_scores")

    def __init__(
        self, detector: PyramidDetector, teachers: ScoringGraph, read_by_teachers: Sequence[int]
    ):
        super().__init__()
        self.detector, self.teachers = detector, teachers
        self._read_by_teachers = tuple(read_by_teachers)

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Detect in one video by the features (T, C) of each stream.

        Gives scores (P, K) and the borders (P,) and (P,) in snippets, of P positions; and the
        probability that the video has each class (K,), by the teachers.
        """
        joined = torch.cat(features, dim=1).unsqueeze(0)
        out = self.detector(joined, torch.ones_like(joined[..., 0], dtype=torch.bool))
        _, video = self.teachers(*(features[i] for i in self._read_by_teachers))
        return *decode(out, 0, joined.shape[1]), video


def export_onnx(run: Run, stages: Sequence[str], path: Path) -> ExportedGraph:
    """Write a run's scoring as an ONNX file, checked in ONNX Runtime before it is in place.

    `stages` are one checkpoint; or one of each branch, for their ensemble. The graph reads a whole
    video at once, of any length T; `duetal localize` reads longer ones than the training crop in
    windows that overlap. The names of the classes, the time grid, the crop and the rule that chose
    the checkpoint are in the file's metadata.

    Raises:
        UsageError: ONNX is not installed.
        DuetalError: a damaged checkpoint, scores that differ by more than 1e-4, or a file that
            can't be written.
    """
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        cause = f"needs {error.name}, which is not installed: pip install 'duetal[onnx]'"
        raise UsageError(cause) from error
    model, crop = run.model, run.config.data.crop
    graph, dims = _build(run, stages)
    inputs = {f"{branch}_features": dim for branch, dim in dims.items()}
    metadata = {
        "duetal": __version__,
        "classes": json.dumps(model.classes, ensure_ascii=False),
        "grid": json.dumps(asdict(model.grid)),
        "stages": json.dumps(list(stages)),
        "crop": str(crop),
        "selection": model.rule(stages),
    }
    with replacing(path) as temporary:
        program = _trace(graph, inputs)
        program.model.metadata_props.update(metadata)
        program.save(temporary, external_data=False)
        lengths = (1, 2, 3, 7, 8, 9, 64, 65, crop - 1, crop, crop + 1, 2 * crop + 5)
        session = _session(temporary)
        differences = [_difference(graph, session, inputs, length, run) for length in lengths]
        # NaN is a difference too.
        worst = max(d if math.isfinite(d) else math.inf for d in differences)
        if worst > TOLERANCE:
            cause = f"ONNX Runtime's scores differ from PyTorch's by {worst:.1e}; not written"
            raise DuetalError(cause, file=path)
    return ExportedGraph(inputs, lengths, worst)


def _build(run: Run, stages: Sequence[str]) -> tuple[ScoringGraph | DetectorGraph, dict[str, int]]:
    """The graph of stages in eval mode, and C by the name of the branch that reads it."""
    record = run.model.detector
    is_detector = record is not None and run.model.is_detector(stages)
    scoring = record.teachers if record is not None and is_detector else stages
    scorer = ScoringGraph([restore(run, stage) for stage in scoring], run.config)
    branches = [run.model.branch_of(stage) for stage in scoring]
    if record is None or not is_detector:
        return scorer.eval(), {branch.name: branch.dim for branch in branches}
    places = [list(record.streams).index(branch.name) for branch in branches]
    graph = DetectorGraph(restore_detector(run, stages[0]), scorer, places)
    return graph.eval(), record.streams


def _trace(graph: ScoringGraph | DetectorGraph, inputs: dict[str, int]) -> Any:
    """The graph as an ONNX program with a free T. The exporter's own output is suppressed."""
    # Not too short: a traced length that some layer takes as 1 would be taken for a constant.
    coarsest = graph.detector.coarsest if isinstance(graph, DetectorGraph) else 1
    example = _random_features(inputs, 4 * max(8, coarsest) + 3)
    free_length = {0: torch.export.Dim.DYNAMIC}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        # It logs missing operators of torchvision, which nothing here needs.
        disabled = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            return torch.onnx.export(
                graph,
                example,
                dynamo=True,
                verbose=False,
                input_names=list(inputs),
                output_names=list(graph.outputs),
                dynamic_shapes=(tuple(free_length for _ in inputs),),
            )
        finally:
            logging.disable(disabled)


def _random_features(inputs: dict[str, int], length: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(length)
    return tuple(torch.randn(length, dim, generator=generator) for dim in inputs.values())


def _difference(
    graph: ScoringGraph | DetectorGraph, session: Any, inputs: dict[str, int], length: int, run: Run
) -> float:
    """The largest difference between the outputs of PyTorch and of ONNX Runtime at a length.

    DuetalError, which names the run, if PyTorch's own scores are not finite.
    """
    features = _random_features(inputs, length)
    with torch.inference_mode():
        expected = [scores.numpy() for scores in graph(*features)]
    if not all(np.isfinite(scores).all() for scores in expected):
        cause = "its weights give scores that are not finite; training diverged"
        raise DuetalError(cause, file=run.folder.path)
    feeds = {name: each.numpy() for name, each in zip(inputs, features, strict=True)}
    found: list[NDArray[np.float32]] = session.run(None, feeds)
    pairs = list(zip(expected, found, strict=True))
    if any(a.shape != b.shape for a, b in pairs):
        return math.inf
    # Of a place in a long video, single precision holds no more.
    shares = [np.abs(a - b) / np.maximum(np.abs(a), 1.0) for a, b in pairs]
    return float(np.max([share.max(initial=0.0) for share in shares]))


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
