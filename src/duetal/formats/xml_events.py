"""XML read element by element, without what makes XML dangerous.

A document type, and with it every entity of its own and every reference to another file, is
refused: no annotation format needs one. No tree is built, so that a file of empty elements stays
small; and what a parser has to remember of a file is bounded.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn
from xml.parsers import expat

from duetal.core.errors import DuetalError
from duetal.formats.memory import Memory

#: Takes an element's name and attributes at its beginning.
OnStart = Callable[[str, Mapping[str, str]], object]
#: Takes an element's name and text at its end; the text is that after its last child began.
OnEnd = Callable[[str, str], object]

#: What one element's text may hold; a label is a few words.
_LONGEST_TEXT = 2**16
#: What one tag or comment may hold; the parser holds it, and each of its attributes, at once.
_LONGEST_TAG = 2**16
_CHUNK = 2**14
#: The parser remembers every name of an element or attribute, and every element that is open;
#: ELAN's form has a hundred names and eight levels.
_MOST_NAMES = 1000
_DEEPEST = 200


def read_elements(path: Path, on_start: OnStart, on_end: OnEnd, memory: Memory) -> None:
    """Read an XML file.

    Args:
        path: the file.
        on_start: called at the beginning of each element.
        on_end: called at the end of each element.
        memory: is told the line that is being read.

    Raises:
        DuetalError: missing, unreadable, not well-formed, or with a document type; with line and
            column. Also one that a callback raises, its place completed by the line; and for names,
            depth, tags or texts beyond what any annotation has.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    text: list[str] = []
    names: set[str] = set()
    depth = 0

    def place() -> str:
        return f"line {parser.CurrentLineNumber} column {parser.CurrentColumnNumber + 1}"

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        text.clear()
        memory.line = parser.CurrentLineNumber
        names.add(name)
        names.update(attributes)
        depth += 1
        if len(names) > _MOST_NAMES or depth > _DEEPEST:
            cause = "nested too deeply" if depth > _DEEPEST else "too many different names"
            raise DuetalError(cause, file=path, place=place())
        _called(lambda: on_start(name, attributes), path, place)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        memory.line = parser.CurrentLineNumber
        _called(lambda: on_end(name, "".join(text)), path, place)
        text.clear()

    def characters(data: str) -> None:
        text.append(data)
        if sum(map(len, text)) > _LONGEST_TEXT:
            raise DuetalError("a text is too long", file=path, place=place())

    def refuse(*_: Any) -> NoReturn:
        cause = "a document type is refused, as it can name other files and entities without end"
        raise DuetalError(cause, file=path, place=place())

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                parser.Parse(chunk, False)
                if file.tell() - parser.CurrentByteIndex > _LONGEST_TAG + _CHUNK:
                    raise DuetalError("a tag is too long", file=path, place=place())
            parser.Parse(b"", True)
    except FileNotFoundError as error:
        raise DuetalError("no such file", file=path) from error
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=path) from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        # An encoding that the XML declaration names may be unknown or of several bytes.
        raise DuetalError(f"not XML: {error}", file=path) from error


def _called(call: Callable[[], object], path: Path, place: Callable[[], str]) -> None:
    try:
        call()
    except KeyError as error:
        raise DuetalError(f"no attribute {error}", file=path, place=place()) from error
    except (TypeError, ValueError, OverflowError) as error:
        raise DuetalError(str(error), file=path, place=place()) from error
