"""What a source says beside labels and segments: kept as JSON text, which takes little memory."""

import json
from collections.abc import Mapping
from typing import Any


def as_text(facts: Mapping[str, Any]) -> str:
    """Facts as the text that annotations carry; none is no text."""
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")) if facts else ""


def as_object(text: str) -> dict[str, Any]:
    """The facts that annotations carry."""
    facts: dict[str, Any] = json.loads(text) if text else {}
    return facts
