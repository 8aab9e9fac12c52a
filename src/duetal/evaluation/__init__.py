"""Temporal mAP and the protocols that published numbers follow."""

from duetal.evaluation.mean_ap import evaluate
from duetal.evaluation.protocols import PROTOCOLS, Protocol, protocol_named
from duetal.evaluation.result import Evaluation, MeanStd, Summary, summarize

__all__ = [
    "PROTOCOLS",
    "Evaluation",
    "MeanStd",
    "Protocol",
    "Summary",
    "evaluate",
    "protocol_named",
    "summarize",
]
