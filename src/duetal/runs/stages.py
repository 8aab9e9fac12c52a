"""The stages of a run by name: what training leaves behind, and the ensemble of its last ones."""

#: The stage that is no checkpoint: the two final branches together.
ENSEMBLE = "ensemble"


def branch_of(stage: str) -> str:
    """The branch that a checkpoint is of, "cbp" or "vlp": `vlp-b1` → "vlp"."""
    return stage.partition("-")[0]


def title_of(stage: str, *, two_modalities: bool = True) -> str:
    """What a table calls a stage: `vlp-b1` → "VLP after B1"."""
    if stage == ENSEMBLE:
        return "Ensemble"
    if stage == "vlp-zeroshot":
        return "Zero-shot VLP"
    if stage == "cbp-warmup":
        return "CBP after warm-up" if two_modalities else "CBP on labels alone"
    branch, _, step = stage.partition("-")
    return f"{branch.upper()} after {step.upper()}"
