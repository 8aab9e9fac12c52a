"""Temporal mAP and the protocols that published numbers follow."""

from duetal.evaluation.evaluate import evaluate
from duetal.evaluation.protocols import PROTOCOLS, Protocol, protocol_named
from duetal.evaluation.result import Evaluation, Spread, Summary, summarize

__all__ = [
    "PROTOCOLS",
    "Evaluation",
    "Protocol",
    "Spread",
    "Summary",
    "evaluate",
    "protocol_named",
    "summarize",
]
