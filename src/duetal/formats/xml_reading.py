"""Reading XML from outside element by element: nothing is fetched, no tree is built."""

import io
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from xml.sax import SAXException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl, InputSource

from defusedxml import DefusedXmlException
from defusedxml import sax as defused_sax

from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import refuse_large
from duetal.formats.json_values import FAULTS

#: ELAN's form has eight levels, and a label is a few words.
_DEEPEST = 200
_LONGEST_TEXT = 2**16
_AnyReader = TypeVar("_AnyReader", bound="XmlReader")


class XmlReader(ContentHandler):
    """Takes what is read of a file whose outermost element is `root`, element by element."""

    #: Knows the place that has been read up to; the base class takes it.
    _locator: Any

    def __init__(self, root: str, form: str):
        super().__init__()
        self._root = root
        self._form = form
        self._text: list[str] = []
        self._length = 0
        self._depth = 0
        #: Of the element that was read last.
        self.place = ""

    @abstractmethod
    def begin(self, name: str, attrs: AttributesImpl) -> None:
        """Take an element's attributes."""

    @abstractmethod
    def end(self, name: str, text: str) -> None:
        """Take an element's text: that after its last child began."""

    def located(self) -> str:
        """Line and column that have been read up to."""
        locator = self._locator
        return f"line {locator.getLineNumber()} column {locator.getColumnNumber() + 1}"

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802
        """Called at an element's begin."""
        self.place = self.located()
        self._clear_text()
        if self._depth == 0 and name != self._root:
            raise ValueError(f"not of {self._form}: it begins with {name[:40]!r}")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("nested too deeply")
        self.begin(name, attrs)

    def characters(self, content: str) -> None:
        """Take a part of an element's text."""
        self._text.append(content)
        self._length += len(content)
        if self._length > _LONGEST_TEXT:
            raise ValueError("a text is too long")

    def endElement(self, name: str) -> None:  # noqa: N802
        """Called at an element's end."""
        self.place = self.located()
        text = "".join(self._text).strip()
        self._clear_text()
        self._depth -= 1
        self.end(name, text)

    def _clear_text(self) -> None:
        self._text.clear()
        self._length = 0


def read_xml(path: Path, reader: _AnyReader) -> _AnyReader:
    """Let a reader take a file; gives the reader.

    Raises:
        DuetalError: no such file, not well-formed, with a document type, nested too deeply, or
            what the reader takes for a fault; named by file and line.
    """
    refuse_large(path)
    try:
        with path.open("rb") as file, _explained(reader, path):
            defused_sax.parse(file, reader, forbid_dtd=True)
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=path) from error
    return reader


def read_xml_text(text: str, reader: _AnyReader, source: str) -> _AnyReader:
    """Let a reader take a text that comes from `source`; raises as `read_xml`."""
    with _explained(reader, source):
        # The bytes are UTF-8, whatever a declaration in the text says.
        data = io.BytesIO(text.encode("utf-8", "replace"))
        whole = InputSource()
        whole.setByteStream(data)
        whole.setEncoding("utf-8")
        defused_sax.parse(whole, reader, forbid_dtd=True)
    return reader


@contextmanager
def _explained(reader: XmlReader, source: Path | str) -> Iterator[None]:
    """Turn what goes wrong in parsing into a DuetalError with its place."""
    try:
        yield
    except DefusedXmlException as error:
        cause = "a document type is refused, as it can name other files and entities without end"
        raise DuetalError(cause, file=source, place=reader.located()) from error
    except UsageError as error:
        raise UsageError(error.cause, file=source) from error
    except FAULTS as error:
        cause = f"no attribute {error}" if isinstance(error, KeyError) else str(error)
        raise DuetalError(cause, file=source, place=reader.place) from error
    except (SAXException, LookupError) as error:
        # The encoding that an XML declaration names may be unknown.
        cause = error.getMessage() if isinstance(error, SAXException) else str(error)
        raise DuetalError(f"not XML: {cause}", file=source, place=reader.located()) from error
