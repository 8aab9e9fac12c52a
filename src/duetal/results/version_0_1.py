"""Files of version 0.1.0, brought to the present schema.

That version had two branches and named stages and phases so that everything else could be derived
from the names; now the files hold records. Only this module depends on these names.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

TITLES = {"cbp": "CBP", "vlp": "VLP"}
_KNOWN_STAGES = {
    "ensemble": "Ensemble",
    "vlp-zeroshot": "Zero-shot VLP",
    "cbp-warmup": "CBP after warm-up",
}


def branch_of(stage: str) -> str:
    """The branch of a stage, or "ensemble"."""
    prefix = stage.partition("-")[0]
    return prefix if prefix in TITLES else "ensemble"


def title_of(stage: str) -> str:
    """The title of a stage: `vlp-b1` → "VLP after B1"."""
    branch, _, step = stage.partition("-")
    if stage in _KNOWN_STAGES or not step:
        return _KNOWN_STAGES.get(stage, stage[:1].upper() + stage[1:])
    return f"{branch.upper()} after {step.upper()}"


def phase(name: str, branch: str = "") -> dict[str, Any]:
    """The record of a phase: "warmup", "B1", "F2"."""
    step = re.fullmatch(r"([BF])(\d+)", name)
    if step is None:
        title, student = {"warmup": ("Warm-up", "cbp"), "zeroshot": ("Zero-shot", "vlp")}.get(
            name, (name, branch)
        )
        return {"name": name, "title": title, "student": student, "stage": f"{student}-{name}"}
    student, teacher = ("vlp", "cbp") if step[1] == "B" else ("cbp", "vlp")
    return {
        "name": name,
        "title": f"{step[1]} step {step[2]}",
        "student": student,
        "teacher": teacher,
        "distils": ["background"] if step[1] == "B" else ["foreground", "background"],
        "stage": f"{student}-{name.lower()}",
    }


def order_phases(names: Iterable[str]) -> list[str]:
    """Names in the order of training: warmup, B1, F1, B2, F2, …; others follow."""

    def rank(name: str) -> tuple[float, str]:
        step = re.fullmatch(r"[BF](\d{1,9})", name)
        return (int(step[1]) if step else 0 if name == "warmup" else float("inf"), name)

    return sorted(names, key=rank)


def upgrade_model(value: Mapping[str, Any]) -> dict[str, Any]:
    """`model.json` of format 1 as format 2.

    Raises:
        KeyError, TypeError, AttributeError: it is no such file.
    """
    channels, final, stages = value["channels"], value["final"], value["stages"]
    branches = [
        {"name": name, "title": TITLES[name], "dim": channels[name], "final": final[name]}
        for name in TITLES
        if channels.get(name) is not None or final.get(name) is not None
    ]
    records = [
        {"name": name, "title": title_of(name), "branch": branch_of(name)} for name in stages
    ]
    if len(branches) == 1:
        records[0]["title"] = "CBP on labels alone"
    phases = []
    for record in records:
        step = record["name"].partition("-")[2]
        record["phase"] = step if step in ("warmup", "zeroshot") else step.upper()
        phases.append(phase(record["phase"], record["branch"]))
    return {**value, "format": 2, "branches": branches, "stages": records, "phases": phases}


def upgrade_tensors(tensors: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's tensors by their present names, with those that 0.1.0 had no need of."""
    renamed = {
        re.sub(r"^(branch\.)?deviation$", r"\1std", name): tensor
        for name, tensor in tensors.items()
    }
    for own in ("std", "gates"):  # of CBP, of VLP
        for prefix in ("", "branch."):
            if (found := renamed.get(prefix + own)) is not None:
                renamed.setdefault(f"{prefix}temperature", found.new_ones(()))
                renamed.setdefault(f"{prefix}classes_compete", found.new_zeros(()).bool())
    for prefix in ("", "branch."):
        if (text := renamed.get(f"{prefix}initial_text")) is not None:  # VLP standardised nothing.
            renamed.setdefault(f"{prefix}mean", text.new_zeros(text.shape[-1]))
            renamed.setdefault(f"{prefix}std", text.new_ones(text.shape[-1]))
    return renamed
