"""The method of the paper, to be read in one sitting.

Begin with `schedule.py` (warm-up, B step, F step as data) and `loop.py` (phase, epoch, batch, loss,
step); then the branches (`cbp.py`, `vlp.py`, listed in `branches.py`), `losses.py` and
`pseudo_labels.py`.

Ju et al., "Distilling Vision-Language Pre-training to Collaborate with Weakly-Supervised Temporal
Action Localization", CVPR 2023.
"""
