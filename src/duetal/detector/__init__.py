"""From weak to full: a detector that learns borders from the detections of the trained branches.

FuSTAL and PseudoFormer (arXiv 2504.14860) train a full detector on a weak model's
pseudo-segments. It is the last stage of a run, and like the others it knows labels alone.
"""
