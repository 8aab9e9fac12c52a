"""The terms that pages use, each in one sentence; docs/glossary.md has more."""

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
