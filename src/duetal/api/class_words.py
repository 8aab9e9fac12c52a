"""The words that name classes: checked, and with several phrasings of each."""

from collections.abc import Mapping

from duetal.api.given_scores import class_names
from duetal.api.trained_run import Classes
from duetal.core.annotations import display_name
from duetal.core.errors import UsageError
from duetal.core.name_matching import plain

#: Classes are compared with one another, and each is a curve of every video.
MOST_CLASSES = 1000


def class_phrases(classes: Classes) -> dict[str, tuple[str, ...]]:
    """The phrasings of each class, by its name; its display name is the first of them.

    `classes` are names: in a sequence, in a text file with one a line, or separated by commas. A
    name may be followed by other words for it, separated by `|`. Or they are phrasings by name.

    Raises:
        UsageError: a name or phrasing that is empty, two that are equal but for case, accents' form
            and what stands between words, or too many classes.
        DuetalError: a file that can't be read, or names no class.
    """
    if isinstance(classes, Mapping):
        given = {str(name): tuple(map(str, said)) for name, said in classes.items()}
    else:
        lines = [tuple(part.strip() for part in n.split("|")) for n in class_names(classes)]
        given = {said[0]: said[1:] for said in lines}
        if len(given) < len(lines):
            names = [said[0] for said in lines]
            twice = next(name for name in names if names.count(name) > 1)
            raise UsageError(f"the class {_short(twice)} is named twice", place="classes")
    if not given:
        raise UsageError("no class is named", place="classes")
    if len(given) > MOST_CLASSES:
        cause = f"{len(given):,} classes are named; {MOST_CLASSES:,} at once are the most"
        raise UsageError(cause, place="classes")
    seen: dict[str, str] = {}
    phrases: dict[str, tuple[str, ...]] = {}
    for name, said in given.items():
        if not plain(name):
            raise UsageError("a class has no name", place="classes")
        own = {plain(words): words for words in (display_name(name), *said)}
        if "" in own:
            raise UsageError(f"the class {_short(name)} has an empty phrasing", place="classes")
        for words in (plain(name), *own):
            if (other := seen.setdefault(words, name)) != name:
                cause = f"the classes {_short(other)} and {_short(name)} are the same words"
                raise UsageError(cause, place="classes")
        phrases[name] = tuple(own.values())
    return phrases


def _short(name: str) -> str:
    """A name in quotes, its middle left out where it is long."""
    return repr(name if len(name) <= 60 else f"{name[:40]} … {name[-15:]}")
