"""The terms that pages use, each in one sentence; docs/glossary.md has more."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata

TERMS = {
    "CBP": "classification-based branch: a network on I3D features that is precise and misses "
    "actions",
    "VLP": "vision-language branch: a network on CLIP features that finds most actions and raises "
    "false alarms",
    "warm-up, zero-shot": "where the branches begin: CBP trained on labels alone, VLP not trained",
    "B1, F1, B2, …": "training steps in turn: in a B step CBP teaches VLP what is background, in "
    "an F step VLP teaches CBP what is foreground",
    "ensemble": "the mean of both branches' scores",
    "tIoU": "temporal intersection over union: how much two intervals overlap, from 0 to 1; a "
    "detection is right where it overlaps an action of its class at least this much",
    "AP, mAP": "average precision: how well detections are ranked, right ones before wrong ones, "
    "in percent; its mean over classes",
    "snippet": "the unit of time of features and scores, by default 16 pictures or 0.64 s",
    "pseudo-label": "what a teacher branch is sure of in a snippet, foreground or background; the "
    "other branch learns it",
    "pseudo-segment": "where a teacher's proposals in a training video agree; the detector learns "
    "its borders",
    "proposal": "snippets in a row whose score is above a threshold",
    "score": "how sure the model is of a detection; only its order means anything across videos",
    "ground truth": "the actions that people have marked",
}


class Glossary:
    """The terms that one page uses."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def use(self, name: str) -> str:
        """Note that a term stands on the page; the name of its place there."""
        self._used.add(name)
        return "-".join(re.findall(r"\w+", name.lower()))

    def used(self) -> Iterator[tuple[str, str, str]]:
        """Place, name and meaning of each, in the order of `TERMS`."""
        return ((self.use(name), name, TERMS[name]) for name in TERMS if name in self._used)


def documentation() -> str:
    """The address of the documentation that the package's metadata gives; empty without one."""
    try:
        addresses = metadata("duetal").get_all("Project-URL") or ()
    except PackageNotFoundError:
        return ""
    for entry in addresses:
        name, _, address = entry.partition(",")
        if name.strip().lower() == "documentation" and re.match("https?://", address.strip()):
            return str(address.strip())
    return ""
