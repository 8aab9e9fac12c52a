"""Training on a part of the training videos, judged by the labels of the rest."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from duetal.core.weak_videos import WeakVideos
from duetal.method.branches import LoadText
from duetal.method.label_weights import label_weights
from duetal.method.labelling import inference_network
from duetal.method.layers import BranchNetwork
from duetal.method.loop import Method, TrainingCallback, alternate
from duetal.method.losses import classes_compete
from duetal.method.method_settings import MethodSettings
from duetal.method.schedule import Phase
from duetal.method.video_scoring import score_video, video_probabilities
from duetal.tuning.held_out import video_mean_ap


@dataclass(eq=False)
class Rehearsal(TrainingCallback):
    """Trains phases, and keeps of each stage its weights and its scores of held-out videos."""

    fabric: Fabric
    settings: MethodSettings
    trained: WeakVideos
    held: WeakVideos
    load_text: LoadText
    method: Method
    #: (N, K) probabilities that held-out videos have the classes, by stage.
    scores: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    _weights: dict[str, Mapping[str, torch.Tensor]] = field(default_factory=dict)

    def train(self, settings: MethodSettings, names: Collection[str]) -> str:
        """Train those of the phases that are not trained yet; the name of the last one's stage."""
        self.settings = settings
        phases = self.method.schedule(settings.schedule, self.trained.streams)
        wanted = [phase for phase in phases if phase.name in names]
        for phase in wanted[-1:]:
            # What is asked for last may have been trained with other settings.
            self._weights.pop(phase.stage, None)
        method = replace(self.method, schedule=lambda *_: wanted)
        alternate(self.fabric, settings, self.trained, self.load_text, self, method)
        return wanted[-1].stage

    def copy(self) -> "Rehearsal":
        """One that goes on from here by itself."""
        return replace(self, scores=dict(self.scores), _weights=dict(self._weights))

    def mean_ap(self, stage: str) -> float:
        """How well a stage ranks the held-out videos by class."""
        return video_mean_ap(self.scores[stage], self.held.labels, self.weights)

    @cached_property
    def weights(self) -> NDArray[np.float32] | None:
        """(N, K) of the held-out labels, as training weighs them; None: 1 each."""
        if not self.settings.losses.weigh_labels:
            return None
        every = np.concatenate([self.held.labels, self.trained.labels])
        return label_weights(every)[: len(self.held.labels)]

    def load_finished(self, phase: Phase, student: BranchNetwork) -> bool:
        """Take up a phase that is trained already."""
        if phase.stage not in self._weights:
            return False
        student.load_state_dict(self._weights[phase.stage], strict=False)
        return True

    def on_phase_end(self, phase: Phase, student: BranchNetwork) -> None:
        """Keep the weights, and score the held-out videos."""
        branch = self.method.branch(phase.student)
        state = student.inference_state()
        self._weights[phase.stage] = {name: tensor.clone() for name, tensor in state.items()}
        network = inference_network(self.fabric, self.settings, self.trained, branch, student)
        stream, window = self.held.streams[branch.name], self.settings.data.crop
        pooling = self.settings.losses.pooling
        found = [
            video_probabilities(
                score_video(network, stream, name, window, self.fabric.device),
                pooling,
                softmax=classes_compete(network, self.settings.losses),
            )
            for name in self.held.names
        ]
        self.scores[phase.stage] = np.stack(found)
