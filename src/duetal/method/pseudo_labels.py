"""The snippets that a frozen teacher is confident of, as foreground or as background."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Self, overload

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, distributed

from duetal.core.array_types import Bools, Singles
from duetal.core.settings_section import Settings
from duetal.core.weak_videos import FeatureReader, WeakVideos, expect_reads
from duetal.method.layers import BranchNetwork
from duetal.method.sampling import Crop, divided
from duetal.method.video_scoring import probabilities, score_video, window_reads

FOREGROUND = 1
BACKGROUND = 0
IGNORED = -1

#: A teacher's curve that varies less has no foreground and no background: it teaches nothing.
FLAT = 1e-3

#: Of some videos, by their index: (T, K) int8 of FOREGROUND, BACKGROUND and IGNORED.
SomePseudoLabels = Mapping[int, NDArray[np.int8]]


class ScoreRange(StrEnum):
    """Over what a teacher's scores are scaled to [0, 1] before the thresholds of a pseudo-label."""

    CLASS = "class"
    VIDEO = "video"
    NONE = "none"


class TeacherScore(StrEnum):
    """Which score of a teacher is thresholded."""

    PROBABILITY = "probability"
    LOGIT = "logit"


class PseudoLabelSettings(Settings):
    """How a teacher's scores become pseudo-labels; a part of the section of the loss."""

    pseudo_high: float = Field(0.9, gt=0, lt=1)
    """[D] δ_h: a normalised teacher score above it is foreground. With a lower one branches confirm
    each other in wide actions, and borders blur."""
    pseudo_low: float = Field(0.15, gt=0, lt=1)
    """[D] δ_l: a normalised teacher score below it is background; between, ignored [N]."""
    pseudo_normalization: ScoreRange = ScoreRange.VIDEO
    """[D] Scale a teacher's scores to [0, 1] over each video's present classes together
    (`video`), over each present class by itself (`class`), or not at all (`none`)."""
    pseudo_score: TeacherScore = TeacherScore.PROBABILITY
    """[D] Threshold a teacher's probabilities, or its logits: a sigmoid trained on video labels
    saturates, and the soft parts of an action fall below δ_l of its peak."""

    @model_validator(mode="after")
    def _check_thresholds(self) -> Self:
        low, high = self.pseudo_low, self.pseudo_high
        if low > high:
            raise ValueError(f"pseudo_low ({low}) is above pseudo_high ({high})")
        return self


def threshold(
    scores: Singles,
    present: Bools,
    settings: PseudoLabelSettings,
    extent: Singles | None = None,
    unknown: Bools | None = None,
) -> NDArray[np.int8]:
    """Turn a teacher's scores of one video, or of a part of it, into pseudo-labels.

    Args:
        scores: (T, K) probabilities or logits.
        present: (K,) the classes that the video carries; all others are background everywhere.
        settings: δ_h and δ_l (a normalised score above δ_h is foreground, below δ_l background, in
            between ignored), and over what scores are normalised.
        extent: (2, K) the lowest and the highest score of each class; None: those of `scores`.
        unknown: (K,) the classes of which it is not known whether the video carries them: IGNORED.

    Returns:
        (T, K) of FOREGROUND, BACKGROUND and IGNORED.
    """
    labels = np.full(scores.shape, BACKGROUND, dtype=np.int8)
    if unknown is not None:
        labels[:, unknown] = IGNORED
    if not present.any():
        return labels
    chosen = scores[:, present]
    if settings.pseudo_normalization is not ScoreRange.NONE:
        of_part = np.stack([chosen.min(axis=0), chosen.max(axis=0)])
        lowest, highest = of_part if extent is None else extent[:, present]
        flat = highest - lowest < FLAT
        if settings.pseudo_normalization is ScoreRange.VIDEO:
            lowest, highest = lowest.min(), highest.max()
        # A NaN is neither above nor below a threshold: ignored.
        chosen = np.where(flat, np.nan, (chosen - lowest) / np.maximum(highest - lowest, 1e-12))
    kinds = np.full(chosen.shape, IGNORED, dtype=np.int8)
    kinds[chosen > settings.pseudo_high] = FOREGROUND
    kinds[chosen < settings.pseudo_low] = BACKGROUND
    labels[:, present] = kinds
    return labels


class PseudoLabels(Sequence[NDArray[np.int8]]):
    """For each training video (T, K) int8 of FOREGROUND, BACKGROUND and IGNORED.

    Those of the classes that a video has are kept, in a file that vanishes with the process; of all
    others everything is background, or IGNORED where a video is `silent` (N,). `lengths` are T of
    each video, `present` (N, K) the classes that it has or may have.
    """

    def __init__(self, lengths: Sequence[int], present: Bools, silent: Bools | None = None):
        self.present, self._silent = present, silent
        self._shapes = [(t, int(n)) for t, n in zip(lengths, present.sum(axis=1), strict=True)]
        self._ends = np.cumsum([t * n for t, n in self._shapes], dtype=np.int64)
        size = int(self._ends[-1]) if len(self._ends) else 0
        self._values = np.zeros(size, np.int8)
        if size:
            with tempfile.TemporaryFile() as file:
                self._values = np.memmap(file, np.int8, shape=(size,))

    def __len__(self) -> int:
        return len(self._shapes)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.int8]: ...
    @overload
    def __getitem__(self, index: slice) -> list[NDArray[np.int8]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[np.int8] | list[NDArray[np.int8]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.part(index, 0, self._shapes[index][0])

    def kept(self, index: int) -> NDArray[np.int8]:
        """(T, classes that the video has): what is kept of a video, to be filled or read."""
        length, count = self._shapes[index]
        end = int(self._ends[index])
        return self._values[end - length * count : end].reshape(length, count)

    def part(self, index: int, start: int, length: int) -> NDArray[np.int8]:
        """(length, K) of a video from a snippet on."""
        rows = self.kept(index)[start : start + length]
        others = IGNORED if self._silent is not None and self._silent[index] else BACKGROUND
        labels = np.full((len(rows), self.present.shape[1]), others, dtype=np.int8)
        labels[:, self.present[index]] = rows
        return labels

    def fill(
        self,
        make: Callable[[int], NDArray[np.int8]],
        fabric: Fabric | None,
        expect: Callable[[list[int]], object] = lambda own: None,
    ) -> Self:
        """Keep what `make` gives of each video: (T, classes that it has).

        The processes of `fabric`, all of which call this, divide the videos; `expect` is told
        first which are this one's, in their order.
        """
        rank, processes = (0, 1) if fabric is None else (fabric.global_rank, fabric.world_size)
        shares = divided([length for length, _ in self._shapes], processes)
        expect(shares[rank])
        for index in shares[rank]:
            self.kept(index)[:] = make(index)
        if fabric is not None and processes > 1:
            self._share(shares, fabric)
        return self

    def _share(self, shares: Sequence[Sequence[int]], fabric: Fabric) -> None:
        """Give all processes what each has filled: the videos of its own of the `shares`."""
        sizes = [sum(self.kept(i).size for i in share) for share in shares]
        own = torch.zeros(max(sizes), dtype=torch.int8)
        rows = [torch.from_numpy(self.kept(i).ravel()) for i in shares[fabric.global_rank]]
        if rows:
            own[: sizes[fabric.global_rank]] = torch.cat(rows)
        own = own.to(fabric.device)
        every = [torch.empty_like(own) for _ in shares]
        distributed.all_gather(every, own)
        for share, values in zip(shares, (one.cpu().numpy() for one in every), strict=True):
            begin = 0
            for index in share:
                kept = self.kept(index)
                kept[:] = values[begin : begin + kept.size].reshape(kept.shape)
                begin += kept.size


def make_pseudo_labels(
    teacher: BranchNetwork,
    videos: WeakVideos,
    stream: FeatureReader,
    settings: PseudoLabelSettings,
    *,
    window: int,
    device: torch.device | str = "cpu",
    fabric: Fabric | None = None,
) -> PseudoLabels:
    """Score every training video whole with a frozen teacher and threshold the scores.

    The teacher is a branch in eval mode, `stream` the features that it reads, and `window` the
    snippets in one pass. The processes of `fabric`, all of which call this, divide the videos.
    """
    names, as_logits = videos.names, settings.pseudo_score is TeacherScore.LOGIT

    def label(index: int) -> NDArray[np.int8]:
        unknown = None if videos.unknown is None else videos.unknown[index]
        logits = score_video(teacher, stream, names[index], window, device)
        scores = logits if as_logits else probabilities(logits, float(teacher.temperature))
        said = threshold(scores, videos.labels[index], settings, unknown=unknown)
        return said[:, videos.possible[index]]

    def expect(own: list[int]) -> None:
        expect_reads(stream, window_reads(stream, [names[index] for index in own], window))

    labels = PseudoLabels([videos.length(name) for name in names], videos.possible)
    return labels.fill(label, fabric, expect)


def count_labels(pseudo: PseudoLabels, videos: WeakVideos) -> dict[str, int | Mapping[str, object]]:
    """The number of snippets of present classes of each kind, in all and for each class."""
    kinds = {"foreground": FOREGROUND, "background": BACKGROUND, "ignored": IGNORED}
    classes = {name: dict.fromkeys(kinds, 0) for name in videos.classes}
    for labels, present in zip(pseudo, videos.labels, strict=True):
        for k in np.flatnonzero(present):
            for kind, value in kinds.items():
                classes[videos.classes[k]][kind] += int((labels[:, k] == value).sum())
    totals = {kind: sum(c[kind] for c in classes.values()) for kind in kinds}
    return {**totals, "snippets": sum(totals.values()), "classes": classes}


def crop_labels(
    pseudo: PseudoLabels | SomePseudoLabels, crops: Sequence[Crop], mask: Tensor
) -> Tensor:
    """The pseudo-labels of some crops: (B, T, K) int8, IGNORED where `mask` (B, T) is padded."""
    if isinstance(pseudo, PseudoLabels):
        num_classes = pseudo.present.shape[1]
    else:
        num_classes = pseudo[crops[0].video].shape[1]
    cut = torch.full((*mask.shape, num_classes), IGNORED, dtype=torch.int8)
    for row, crop in enumerate(crops):
        if isinstance(pseudo, PseudoLabels):
            shown = pseudo.part(crop.video, crop.start, crop.length)
        else:
            shown = pseudo[crop.video][crop.start : crop.start + crop.length]
        cut[row, : crop.length] = torch.from_numpy(shown)
    return cut
