"""The order of training: which branch learns when, from which teacher, and what.

warm-up    CBP learns from the videos' category labels alone
B step     CBP, frozen, teaches VLP its confident background: VLP's false positives go
           (and what it is surest of as foreground, so that positives exist)
F step     VLP, frozen, teaches CBP its confident foreground: CBP's false negatives go
           (and its background, so that negatives exist)

Online, both learn side by side, each taught by the moving average of the other: see
`duetal.method.online`.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from pydantic import Field

from duetal.core.settings_section import Settings


class Selection(StrEnum):
    """Which checkpoint of each branch a finished run uses. The test set is never a choice."""

    LAST = "last"
    HELDOUT = "heldout"


class TrainingMode(StrEnum):
    """How the branches take turns."""

    ALTERNATE = "alternate"
    ONLINE = "online"
    ASYNC = "async"


class ScheduleSettings(Settings):
    """How long and how fast each phase trains, and which checkpoints are used in the end."""

    mode: TrainingMode = TrainingMode.ALTERNATE
    """[N] `alternate`: the branches in turns, each taught by the other as it was. `online`: both in
    every update, each taught by the other's moving average. `async`: the same, each branch in a
    process of its own, which may be ahead by `staleness` (needs `pip install duetal[cluster]`).
    Each branch has the updates that it has in turns."""
    teacher_every: int = Field(10, ge=1, le=1_000_000)
    """[D] `online`, `async`: updates after which a branch takes its teacher's weights anew."""
    relabel_every: int = Field(4, ge=1, le=1_000_000)
    """[D] `online`, `async`: epochs after which a teacher labels a video anew; others keep what it
    said of them. At least six times a phase. 1 costs a pass of the teacher in every update."""
    staleness: int = Field(200, ge=1, le=1_000_000_000)
    """[D] `async`: updates by which a branch may be ahead of its teacher's weights before it waits
    for newer ones; a tenth of those in which it is taught, where that is less."""
    warmup_epochs: int = Field(10, ge=1, le=1_000_000)
    """[S] Epochs of CBP on category labels alone."""
    b_epochs: int = Field(20, ge=1, le=1_000_000)
    """[S] Epochs of VLP in each B step."""
    f_epochs: int = Field(20, ge=1, le=1_000_000)
    """[S] Epochs of CBP in each F step."""
    alternations: int = Field(2, ge=0, le=10_000)
    """[D] Number of B steps, each followed by an F step; 0 trains CBP's warm-up alone."""
    background_only: bool = False
    """[D] B step: distil CBP's background alone (the strict reading), without its foreground.
    Measured: nothing then holds VLP up but its few highest snippets, and it loses most of an
    action."""
    foreground_only: bool = False
    """[D] F step: distil VLP's foreground alone (the strict reading), without its background."""
    # Beyond these bounds an update's factors are no 32-bit numbers.
    learning_rate: float = Field(1e-4, gt=0, le=1e30)
    """[S] Adam's learning rate."""
    b_learning_rate: float | None = Field(None, gt=0, le=1e30)
    """[D] Adam's learning rate in B steps, where it differs from `learning_rate`."""
    b_weight: float = Field(1.0, ge=0, le=1_000_000)
    """[D] Factor of λ in B steps; 0 trains VLP on labels alone."""
    f_weight: float = Field(1.0, ge=0, le=1_000_000)
    """[D] Factor of λ in F steps; 0 trains CBP on labels alone."""
    weight_decay: float = Field(0.0, ge=0, le=1000)
    """[D] Decoupled weight decay (AdamW); 0 is Adam."""
    gradient_clip: float | None = Field(None, gt=0, le=1e30)
    """[D] Largest norm of a step's gradient."""
    averaging: float | None = Field(0.995, gt=0, lt=1)
    """[F] Decay of the moving average of a branch's weights, which is what a phase ends with: the
    last batches decide less. None: the weights of the last update."""
    seed: int = Field(0, ge=0, le=2**63 - 1)
    """Seed of everything random."""
    calibration: bool = True
    """[D] After each phase, find the temperature of the student's scores at which none saturates:
    scores of exactly 1 tie, and can be neither ranked nor thresholded. And whether VLP's classes
    compete any longer (`vlp.classes_compete`)."""
    selection: Selection = Selection.LAST
    """[D] `last`, or `heldout`: of each branch the checkpoint with the best video-level mAP on
    training videos held out from training."""
    heldout_fraction: float = Field(0.2, gt=0, lt=1)
    """[D] Share of the training videos held out when `selection` is `heldout`."""


@dataclass(frozen=True)
class Phase:
    """One phase of training."""

    name: str  # A short name, unique in the schedule: "B1".
    title: str  # The name in tables and plots: "B step 1".
    student: str  # Name of the branch that is trained.
    epochs: int  # 0 keeps the untrained branch as a stage.
    stage: str  # Name of the resulting checkpoint: "vlp-b1".
    stage_title: str  # Its name in tables: "VLP after B1".
    teacher: str | None = None  # Name of the frozen branch that makes the pseudo-labels.
    #: "foreground"; "background" (of present classes, and absent classes everywhere).
    distils: tuple[str, ...] = ()
    learning_rate: float | None = None  # Of this phase; None takes the schedule's.
    weight: float = 1.0  # Factor of λ, the weight of what the teacher says.
    untaught: int | None = None  # Online: epochs it begins with that have no teacher; else None.


def warm_up(epochs: int, *, title: str = "CBP after warm-up") -> Phase:
    """CBP learns from category labels alone."""
    return Phase("warmup", "Warm-up", "cbp", epochs, "cbp-warmup", title)


def zero_shot() -> Phase:
    """VLP as it starts: zero-shot CLIP."""
    return Phase("zeroshot", "Zero-shot", "vlp", 0, "vlp-zeroshot", "Zero-shot VLP")


def b_step(settings: ScheduleSettings, turn: int) -> Phase:
    """VLP learns CBP's confident background (and foreground, so that positives exist)."""
    return Phase(
        f"B{turn}",
        f"B step {turn}",
        "vlp",
        settings.b_epochs,
        f"vlp-b{turn}",
        f"VLP after B{turn}",
        teacher="cbp",
        distils=("background",) if settings.background_only else ("foreground", "background"),
        learning_rate=settings.b_learning_rate,
        weight=settings.b_weight,
    )


def f_step(settings: ScheduleSettings, turn: int) -> Phase:
    """CBP learns VLP's confident foreground (and its background, so that negatives exist)."""
    return Phase(
        f"F{turn}",
        f"F step {turn}",
        "cbp",
        settings.f_epochs,
        f"cbp-f{turn}",
        f"CBP after F{turn}",
        teacher="vlp",
        distils=("foreground",) if settings.foreground_only else ("foreground", "background"),
        weight=settings.f_weight,
    )


def schedule(settings: ScheduleSettings, streams: Collection[str]) -> list[Phase]:
    """All phases of a run, in order.

    Args:
        settings: of the schedule.
        streams: names of the branches that have features. With CBP's alone the warm-up takes as
            many epochs as the whole schedule would train CBP.
    """
    if "vlp" not in streams:
        epochs = settings.warmup_epochs + settings.alternations * settings.f_epochs
        return [warm_up(epochs, title="CBP on labels alone")]
    if settings.mode is not TrainingMode.ALTERNATE and settings.alternations:
        return side_by_side(settings)
    phases = [warm_up(settings.warmup_epochs), zero_shot()]
    for turn in range(1, settings.alternations + 1):
        phases += [b_step(settings, turn), f_step(settings, turn)]
    return phases


def side_by_side(settings: ScheduleSettings) -> list[Phase]:
    """Both branches at a time, for as many epochs as each has in turns.

    CBP, which has more, begins alone: that is its warm-up.
    """
    cbp = settings.warmup_epochs + settings.alternations * settings.f_epochs
    vlp = settings.alternations * settings.b_epochs
    of_cbp, of_vlp = f_step(settings, 1), b_step(settings, 1)
    return [
        zero_shot(),
        replace(
            of_cbp,
            name="cbp",
            title="CBP online",
            epochs=cbp,
            stage="cbp-online",
            stage_title="CBP online",
            untaught=max(1, cbp - vlp),
        ),
        replace(
            of_vlp,
            name="vlp",
            title="VLP online",
            epochs=vlp,
            stage="vlp-online",
            stage_title="VLP online",
            untaught=0,
        ),
    ]
