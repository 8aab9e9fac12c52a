"""How names are said."""

import re


def display_name(label: str) -> str:
    """A class name as one would say it: "HighJump" → "high jump", "STAND_TO_SIT" → "stand to sit".

    Words are split at underscores, hyphens and where a small letter or digit meets a capital.
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", label)
    return re.sub(r"[\s_\-]+", " ", spaced).strip().lower()
