"""One thing, several names: `v_abc`, `abc.mp4` and `ABC` for the video `abc`.

What tools add to names or take off them is the same for all names. `propose` finds it; whether it
is applied is for the user to say.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice

#: Names that are searched for what was added to them; the rule is then applied to all.
_SAMPLE = 20_000
#: Characters that a tool may add.
_LONGEST = 40
_FILE_SUFFIX = re.compile(
    r"\.(mp4|m4v|mkv|avi|webm|mov|mpe?g|flv|ts|mts|m2ts|wmv|npy|npz|h5)$", re.IGNORECASE
)

Change = Callable[[str], str]


@dataclass(frozen=True)
class Proposal:
    """How names meet those that are known."""

    rule: str  #: Such as "the prefix 'v_' taken off".
    names: Mapping[str, str]  #: The known name of each that meets one.

    def __str__(self) -> str:
        name, known = next(iter(self.names.items()))
        return f"{self.rule}: {name!r} is {known!r}"


def propose(found: Iterable[str], known: Collection[str]) -> Proposal | None:
    """The rule by which most of the found names meet a known one, each another; None if none does.

    Names that are known as they are take no part.
    """
    given = dict.fromkeys(found)
    names = [name for name in given if name not in known]
    free = [name for name in known if name not in given]
    best = None
    for words, alike in _SPELLINGS.items():
        # Two known names that are alike can't be told apart.
        index = _unique(free, alike)
        for rule, change in _rules([alike(name) for name in names], index):
            met = {n: index[key] for n in names if (key := change(alike(n))) in index}
            fits = 2 * len(met) >= len(names) and len(set(met.values())) == len(met)
            if met and fits and (best is None or len(met) > len(best.names)):
                best = Proposal("; ".join(filter(None, (rule, words))), met)
        if best is not None and len(best.names) == len(names):
            break
    return best


def plain(name: str) -> str:
    """A name without case and accents' form; words separated by one space."""
    return re.sub(r"[\s_\-]+", " ", _folded(name)).strip()


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


#: In what names may differ all the same, and the form in which they then agree.
_SPELLINGS: Mapping[str, Change] = {
    "": str,
    "accents of NFC and NFD alike": partial(unicodedata.normalize, "NFC"),
    "upper and lower case alike": _folded,
    "case, '_', '-' and spaces alike": plain,
    "case and what stands between words alike": lambda name: plain(name).replace(" ", ""),
}


def _unique(names: Iterable[str], alike: Change) -> dict[str, str]:
    """The names by their form; without forms that several have."""
    keys = {name: alike(name) for name in names}
    count = Counter(keys.values())
    return {key: name for name, key in keys.items() if count[key] == 1}


def _rules(keys: list[str], known: Mapping[str, str]) -> Iterator[tuple[str, Change]]:
    """The rules worth a try: their words, and what they make of a name."""
    yield "", str
    without = [_FILE_SUFFIX.sub("", key) for key in keys]
    yield from _affix_rules(keys, known, "", str)
    if without != keys:
        trim = partial(_FILE_SUFFIX.sub, "")
        yield "the file's suffix taken off", trim
        yield from _affix_rules(without, known, "the file's suffix taken off, ", trim)


def _affix_rules(
    keys: list[str], known: Mapping[str, str], words: str, trim: Change
) -> Iterator[tuple[str, Change]]:
    for affix, at_start in _affixes(keys, known):
        kind = "prefix" if at_start else "suffix"
        cut = str.removeprefix if at_start else str.removesuffix
        yield f"{words}the {kind} {affix!r} taken off", partial(_cut, cut, affix, trim)
    for affix, at_start in _affixes(known, set(keys)):
        kind = "prefix" if at_start else "suffix"
        ends = (affix, "") if at_start else ("", affix)
        yield f"{words}the {kind} {affix!r} added", partial(_put, *ends, trim)


def _cut(cut: Callable[[str, str], str], affix: str, trim: Change, key: str) -> str:
    return cut(trim(key), affix)


def _put(start: str, end: str, trim: Change, key: str) -> str:
    return start + trim(key) + end


def _affixes(names: Iterable[str], known: Collection[str]) -> Iterator[tuple[str, bool]]:
    """The commonest prefix (True) and suffix (False) without which names are known ones."""
    starts: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for name in islice(names, _SAMPLE):
        for i in range(1, min(len(name), _LONGEST)):
            if name[i:] in known:
                starts[name[:i]] += 1
            if name[:-i] in known:
                ends[name[-i:]] += 1
    for affix, count in starts.most_common(1):
        # One short name at the end of another means nothing.
        if count > 2 or not affix[-1].isalnum():
            yield affix, True
    for affix, count in ends.most_common(1):
        if count > 2 or not affix[0].isalnum():
            yield affix, False
