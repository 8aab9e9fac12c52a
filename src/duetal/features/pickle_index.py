"""Where the arrays of a pickled object array lie in their file, found without unpickling it.

The follower keeps a stack of descriptions where an unpickler would keep objects. Only the opcodes
with which numpy has ever written an array of arrays are understood (protocols 2 to 4, from Python
2 and 3), strings of values are skipped over, and nothing that the file names is imported, made or
called.
"""

import enum
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from duetal.core.errors import DuetalError
from duetal.features.arrays import DAMAGED


@dataclass(frozen=True, slots=True)
class PickledBytes:
    """A string of the pickle: where its bytes lie, and itself when it is short."""

    offset: int
    size: int
    short: bytes | None = None
    #: Python 3 wrote bytes into old pickles as UTF-8 text, one character for each byte.
    as_text: bool = False


@dataclass(slots=True)
class _Type:
    """A `numpy.dtype` in the making."""

    dtype: np.dtype[Any]


@dataclass(slots=True)
class PickledArray:
    """A `numpy.ndarray` in the making: the state that the pickle gives it."""

    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None
    fortran: bool = False
    content: object = None


def follow_pickle(file: IO[bytes], path: Path) -> list[PickledArray]:
    """Find the arrays inside a pickled one-dimensional object array.

    Args:
        file: stands at the pickle's first opcode.
        path: the file's path, for errors.

    Raises:
        DuetalError: truncated, damaged, or a pickle with anything else in it.
    """
    return _Follower(file, os.fstat(file.fileno()).st_size, path).follow()


class _Global(enum.Enum):
    """The only names that the pickle of an array of arrays needs."""

    RECONSTRUCT = enum.auto()
    NDARRAY = enum.auto()
    DTYPE = enum.auto()
    ENCODE = enum.auto()
    BYTES = enum.auto()


_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): _Global.RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _Global.RECONSTRUCT,
    ("numpy", "ndarray"): _Global.NDARRAY,
    ("numpy", "dtype"): _Global.DTYPE,
    ("_codecs", "encode"): _Global.ENCODE,
    ("__builtin__", "bytes"): _Global.BYTES,
}

_MARK = object()
_CONSTANTS: dict[int, object] = {ord("N"): None, 0x88: True, 0x89: False}
#: Opcode -> bytes of a signed or unsigned little-endian integer.
_INTEGERS = {ord("J"): (4, True), ord("K"): (1, False), ord("M"): (2, False)}
#: Opcode -> bytes of the length before a string: of Python 2, of text, of bytes.
_STRINGS = {
    ord("U"): 1,
    ord("T"): 4,
    0x8C: 1,
    ord("X"): 4,
    0x8D: 8,
    ord("C"): 1,
    ord("B"): 4,
    0x8E: 8,
}
_PUTS = {ord("q"): 1, ord("r"): 4}
_GETS = {ord("h"): 1, ord("j"): 4}
_TUPLES = {ord(")"): 0, 0x85: 1, 0x86: 2, 0x87: 3}
_SHORT = 256
_TYPE_CODE = re.compile(rb"[biufcO]\d{0,2}")


class _Follower:
    """Follows a pickle's opcodes with a stack of descriptions instead of objects."""

    def __init__(self, file: IO[bytes], size: int, path: Path):
        self.file = file
        self.size = size
        self.path = path
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def follow(self) -> list[PickledArray]:
        """Run to the end of the pickle.

        Returns:
            The arrays that the outer object array holds.

        Raises:
            DuetalError: anything but a one-dimensional object array of arrays.
        """
        try:
            while (opcode := self._integer(1)) != ord("."):
                self._step(opcode)
            result = self.stack.pop()
        except (IndexError, AttributeError, *DAMAGED) as error:
            raise self._refusal("the pickle is damaged") from error
        items = result.content if isinstance(result, PickledArray) else None
        if not isinstance(items, list) or len(result.shape) != 1:
            raise self._refusal("the pickle is not a one-dimensional array of arrays")
        if len(items) != result.shape[0]:
            raise self._refusal("the pickled array's content does not fit its shape")
        if not all(isinstance(item, PickledArray) for item in items):
            raise self._refusal("the pickled array holds something other than arrays")
        return items

    def _refusal(self, cause: str) -> DuetalError:
        return DuetalError(cause, file=self.path, place=f"byte {self.file.tell():,}")

    def _read(self, size: int) -> bytes:
        data = self.file.read(size)
        if len(data) < size:
            raise self._refusal("truncated")
        return data

    def _integer(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self._read(size), "little", signed=signed)

    def _step(self, opcode: int) -> None:
        """Do what one opcode says to the stack."""
        known = self._frame(opcode) or self._value(opcode) or self._remember(opcode)
        if opcode == ord("G"):
            cause = "the pickle holds single numbers, not arrays (T, C): save a one-dimensional "
            raise self._refusal(cause + "object array with one array in each place")
        if not (known or self._collect(opcode) or self._make(opcode)):
            raise self._refusal(f"the pickle does more than hold arrays (opcode 0x{opcode:02x})")

    def _frame(self, opcode: int) -> bool:
        """Opcodes that say how the pickle is written, not what it holds."""
        if opcode == 0x80:  # PROTO
            self._read(1)
        elif opcode == 0x95:  # FRAME: a length, for those who read ahead
            self._read(8)
        else:
            return False
        return True

    def _value(self, opcode: int) -> bool:
        """Opcodes that push a constant, an integer or a string."""
        if opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode in _INTEGERS:
            self.stack.append(self._integer(*_INTEGERS[opcode]))
        elif opcode == 0x8A:  # LONG1
            self.stack.append(self._integer(self._integer(1), signed=True))
        elif opcode in _STRINGS:
            self.stack.append(self._string(self._integer(_STRINGS[opcode])))
        else:
            return False
        return True

    def _remember(self, opcode: int) -> bool:
        """Opcodes that store the top of the stack for later, or push what was stored."""
        if opcode in _PUTS:
            self.memo[self._integer(_PUTS[opcode])] = self.stack[-1]
        elif opcode == 0x94:  # MEMOIZE
            self.memo[len(self.memo)] = self.stack[-1]
        elif opcode in _GETS:
            self.stack.append(self.memo[self._integer(_GETS[opcode])])
        else:
            return False
        return True

    def _collect(self, opcode: int) -> bool:
        """Opcodes that gather what lies on the stack into tuples and lists."""
        if opcode == ord("("):
            self.stack.append(_MARK)
        elif opcode in _TUPLES:
            self.stack.append(tuple(self._pop(_TUPLES[opcode])))
        elif opcode == ord("t"):
            self.stack.append(tuple(self._pop_to_mark()))
        elif opcode == ord("]"):
            self.stack.append([])
        elif opcode == ord("a"):
            items = self._pop(1)
            self._list().extend(items)
        elif opcode == ord("e"):
            items = self._pop_to_mark()
            self._list().extend(items)
        else:
            return False
        return True

    def _make(self, opcode: int) -> bool:
        """Opcodes that name, call or fill in an object."""
        if opcode == ord("c"):
            self.stack.append(self._global(self._line(), self._line()))
        elif opcode == 0x93:  # STACK_GLOBAL
            module, name = self._pop(2)
            self.stack.append(self._global(_text(module), _text(name)))
        elif opcode == ord("R"):
            function, arguments = self._pop(2)
            self.stack.append(self._reduce(function, arguments))
        elif opcode == ord("b"):
            (state,) = self._pop(1)
            self._build(self.stack[-1], state)
        else:
            return False
        return True

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("stack")
        start = len(self.stack) - count
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _list(self) -> list[Any]:
        if not isinstance(self.stack[-1], list):
            raise TypeError("append to something other than a list")
        return self.stack[-1]

    def _line(self) -> str:
        return self.file.readline(_SHORT).decode("utf-8").removesuffix("\n")

    def _string(self, size: int) -> PickledBytes:
        offset = self.file.tell()
        if size <= _SHORT:
            return PickledBytes(offset, size, self._read(size))
        if offset + size > self.size:
            raise self._refusal("truncated")
        self.file.seek(size, os.SEEK_CUR)
        return PickledBytes(offset, size)

    def _global(self, module: str, name: str) -> _Global:
        if (module, name) not in _GLOBALS:
            raise self._refusal(f"refuses to load {module}.{name}")
        return _GLOBALS[module, name]

    def _reduce(self, function: object, arguments: tuple[Any, ...]) -> object:
        """What a call makes: the state of an array or type comes later, through `_build`."""
        if function is _Global.RECONSTRUCT and arguments[0] is _Global.NDARRAY:
            return PickledArray()
        if function is _Global.DTYPE:
            code = arguments[0].short or b""
            if not _TYPE_CODE.fullmatch(code):
                raise self._refusal(f"an array of type {code!r}; features are float16 or float32")
            return _Type(np.dtype(code.decode("ascii")))
        if function is _Global.ENCODE and _text(arguments[1]) == "latin1":
            text: PickledBytes = arguments[0]
            return PickledBytes(text.offset, text.size, text.short, as_text=True)
        if function is _Global.BYTES and arguments == ():
            return PickledBytes(self.file.tell(), 0, b"")
        raise self._refusal("the pickle calls something other than numpy's own")

    def _build(self, target: object, state: tuple[Any, ...]) -> None:
        """Give an array or a type the state that `numpy.ndarray.__setstate__` would take."""
        if isinstance(target, _Type):
            byte_order = _text(state[1])
            if byte_order in ("<", ">"):
                target.dtype = target.dtype.newbyteorder("<" if byte_order == "<" else ">")
        elif isinstance(target, PickledArray):
            _, shape, dtype, fortran, content = state
            if not all(isinstance(size, int) and size >= 0 for size in shape):
                raise self._refusal(f"an array of shape {shape!r}")
            target.shape = tuple(int(size) for size in shape)
            target.dtype = dtype.dtype
            target.fortran = bool(fortran)
            target.content = content
        else:
            raise self._refusal("the pickle changes something other than an array")


def _text(value: PickledBytes) -> str:
    return (value.short or b"").decode("utf-8")
