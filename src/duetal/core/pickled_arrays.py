"""Pickled object arrays in `.npy` files, read without unpickling them.

Unpickling calls whatever functions a file names. Here the few opcodes with which numpy writes an
object array (protocols 2 to 4, Python 2 and 3) are followed with a stack of descriptions in place
of objects: nothing that the file names is imported, made or called. Long strings are skipped, so
that an index of a pack of a gigabyte takes milliseconds and its arrays can be memory-mapped.
"""

import enum
import math
import os
import pickletools
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.files import reading, refuse_large
from duetal.core.npy import DAMAGED, read_npy_header


@dataclass(frozen=True, slots=True)
class PickledString:
    """Where a string's bytes lie in the file, and the bytes where they are few."""

    offset: int  #: Of the first byte.
    size: int  #: In bytes.
    short: bytes | None = None  #: The bytes of a short string.
    is_text: bool = False  #: A `str`; its bytes are UTF-8.
    #: `bytes` that Python 3 wrote into an old pickle as text, a character for each byte.
    encoded: bool = False

    def read(self, file: IO[bytes]) -> str | bytes:
        """The string itself."""
        file.seek(self.offset)
        data = file.read(self.size) if self.short is None else self.short
        if self.encoded:
            return data.decode("utf-8").encode("latin-1")
        return data.decode("utf-8", "surrogatepass") if self.is_text else data


@dataclass(slots=True)
class PickledArray:
    """The state that the pickle gives a `numpy.ndarray`, or a number of shape ()."""

    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None
    fortran: bool = False
    content: object = None


@dataclass(slots=True)
class _PickledType:
    dtype: np.dtype[Any]


def load_object_array(path: Path) -> NDArray[Any]:
    """Read a `.npy` file of numbers, byte strings, or pickled lists, strings and numbers.

    Strings that Python 2 pickled are returned as bytes; `as_text` turns either kind into text.

    Raises:
        DuetalError: missing, too large, truncated or not `.npy`; or a pickle that names anything
            beyond numpy's array constructors ("refuses to load <module.name>").
    """
    refuse_large(path)
    with reading(path), path.open("rb") as file:
        return _load(file, path)


def as_text(value: object) -> str:
    """The text of a string that a pickle holds as `str` or as UTF-8 bytes.

    Raises:
        ValueError: neither, or not UTF-8.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, str):
        return str(value)
    raise ValueError(f"expected a string, found {type(value).__name__}")


def index_arrays(file: IO[bytes], path: Path) -> list[PickledArray]:
    """Find the arrays inside a pickled one-dimensional object array.

    The file stands at the pickle's first opcode; errors name it by its path.

    Raises:
        DuetalError: truncated, damaged, or a pickle with anything else in it.
    """
    follower = _Follower(file, path, with_numbers=False)
    result = follower.follow()
    items = result.content if isinstance(result, PickledArray) else None
    if not isinstance(items, list) or len(result.shape) != 1:
        raise follower.refusal("the pickle is not a one-dimensional array of arrays")
    if len(items) != result.shape[0]:
        raise follower.refusal("the pickled array's content does not fit its shape")
    if not all(isinstance(item, PickledArray) for item in items):
        raise follower.refusal("the pickled array holds something other than arrays")
    return items


def _load(file: IO[bytes], path: Path) -> NDArray[Any]:
    try:
        shape, fortran, dtype = read_npy_header(file)
    except DAMAGED as error:
        cause = str(error).partition("\n")[0]
        raise DuetalError(f"not a readable .npy file: {cause}", file=path) from error
    if dtype.hasobject:
        described = _Follower(file, path, with_numbers=True).follow()
        try:
            array = _Values(file).value(described)
        except DAMAGED as error:
            cause = f"not a readable pickled array: {error}"
            raise DuetalError(cause, file=path) from error
        if not isinstance(array, np.ndarray):
            raise DuetalError("the pickle holds no array", file=path)
        if array.shape != shape:
            raise DuetalError(f"holds {array.shape}, its header declares {shape}", file=path)
        return array
    data = file.read()
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        cause = f"truncated: {len(data)} bytes of data, its header declares {expected}"
        raise DuetalError(cause, file=path)
    flat = np.frombuffer(data, dtype, math.prod(shape))
    return flat.reshape(shape, order="F" if fortran else "C")


class _Values:
    """Makes values of descriptions; what is described once is made once."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._made: dict[int, Any] = {}

    def value(self, described: Any) -> Any:
        if described is None or isinstance(described, int | float):
            return described
        if id(described) not in self._made:
            self._made[id(described)] = self._make(described)
        return self._made[id(described)]

    def _make(self, described: Any) -> Any:
        if isinstance(described, PickledString):
            return described.read(self._file)
        if isinstance(described, list | tuple):
            return type(described)(map(self.value, described))
        if not isinstance(described, PickledArray) or described.dtype is None:
            raise ValueError(f"holds {type(described).__name__}")
        dtype, content = described.dtype, described.content
        if dtype.kind == "O":
            if not isinstance(content, list):
                raise ValueError("the array's content is not of its type")
            flat = np.empty(len(content), dtype=object)
            for index, item in enumerate(content):
                flat[index] = self.value(item)
        else:
            data = content.read(self._file) if isinstance(content, PickledString) else None
            if not isinstance(data, bytes):
                raise ValueError("the array's content is not of its type")
            flat = np.frombuffer(data, dtype)
        if described.shape == () and dtype.kind != "O":
            return flat.reshape(())[()]
        return flat.reshape(described.shape, order="F" if described.fortran else "C")


_Global = enum.Enum("_Global", "RECONSTRUCT SCALAR NDARRAY DTYPE ENCODE BYTES")
#: The only names that the pickle of an object array needs; numpy 2 renamed `numpy.core`.
_GLOBALS = {
    "numpy.core.multiarray _reconstruct": _Global.RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": _Global.RECONSTRUCT,
    "numpy.core.multiarray scalar": _Global.SCALAR,
    "numpy._core.multiarray scalar": _Global.SCALAR,
    "numpy ndarray": _Global.NDARRAY,
    "numpy dtype": _Global.DTYPE,
    "_codecs encode": _Global.ENCODE,
    "__builtin__ bytes": _Global.BYTES,
}
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_MARK = object()
_SHORT = 256
_TYPE_CODE = re.compile(rb"[biufcOSU]\d{0,4}")
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
#: Bytes of the length that stands before a string, by the kind of the opcode's argument.
_LENGTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


class _Follower:
    """Follows a pickle's opcodes with a stack of descriptions instead of objects."""

    def __init__(self, file: IO[bytes], path: Path, *, with_numbers: bool):
        self._file = file
        here = file.tell()
        self._size = file.seek(0, os.SEEK_END)
        file.seek(here)
        self._path = path
        self._with_numbers = with_numbers
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def follow(self) -> Any:
        """The description of what the pickle holds; a DuetalError where that is anything else."""
        try:
            while (code := self._read(1)) != b".":
                opcode = _OPCODES.get(code.decode("latin-1"))
                if opcode is None:
                    raise self._unexpected(f"opcode 0x{code[0]:02x}")
                self._step(opcode.name, self._argument(opcode))
            return self._stack.pop()
        except (IndexError, AttributeError, *DAMAGED) as error:
            raise self.refusal("the pickle is damaged") from error

    def refusal(self, cause: str) -> DuetalError:
        """An error at the place that has been read up to."""
        return DuetalError(cause, file=self._path, place=f"byte {self._file.tell():,}")

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise self.refusal("truncated")
        return data

    def _unexpected(self, what: str) -> DuetalError:
        return self.refusal(f"the pickle does more than hold arrays ({what})")

    def _argument(self, opcode: pickletools.OpcodeInfo) -> Any:
        if opcode.arg is None:
            return None
        if opcode.arg.n in _LENGTHS:
            size = int.from_bytes(self._read(_LENGTHS[opcode.arg.n]), "little")
            return self._string(size, is_text="UNICODE" in opcode.name)
        if opcode.arg.n < 0 and opcode.name != "GLOBAL":
            raise self._unexpected(opcode.name)
        if self._file.tell() + opcode.arg.n > self._size:
            raise self.refusal("truncated")
        return opcode.arg.reader(self._file)

    def _string(self, size: int, *, is_text: bool) -> PickledString:
        offset = self._file.tell()
        if size <= _SHORT:
            return PickledString(offset, size, self._read(size), is_text)
        if offset + size > self._size:
            raise self.refusal("truncated")
        self._file.seek(size, os.SEEK_CUR)
        return PickledString(offset, size, None, is_text)

    def _step(self, name: str, argument: Any) -> None:
        """Apply one opcode to the stack."""
        stack = self._stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            stack.append(tuple(self._pop(_TUPLES[name])))
        elif name.endswith("PUT"):
            self._memo[argument] = stack[-1]
        elif name.endswith("GET"):
            stack.append(self._memo[argument])
        elif isinstance(argument, PickledString) and not name.startswith("LONG"):
            stack.append(argument)
        elif name == "BINFLOAT" and not self._with_numbers:
            cause = "the pickle holds single numbers, not arrays (T, C): save a one-dimensional "
            raise self.refusal(cause + "object array with one array in each place")
        else:
            self._collect_or_make(name, argument)

    def _collect_or_make(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "BININT" | "BININT1" | "BININT2" | "BINFLOAT":
                stack.append(argument)
            case "LONG1":
                stack.append(int.from_bytes(argument.short, "little", signed=True))
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "MARK":
                stack.append(_MARK)
            case "TUPLE":
                stack.append(tuple(self._pop_to_mark()))
            case "EMPTY_LIST":
                stack.append([])
            case "APPEND" | "APPENDS":
                items = self._pop(1) if name == "APPEND" else self._pop_to_mark()
                if not isinstance(stack[-1], list):
                    raise TypeError("append to something other than a list")
                stack[-1].extend(items)
            case "GLOBAL":
                stack.append(self._global(argument))
            case "STACK_GLOBAL":
                stack.append(self._global(" ".join(map(_text, self._pop(2)))))
            case "REDUCE":
                stack.append(self._reduce(*self._pop(2)))
            case "BUILD":
                (state,) = self._pop(1)
                self._build(stack[-1], state)
            case _:
                raise self._unexpected(name)

    def _pop(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise IndexError("stack")
        start = len(self._stack) - count
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _global(self, name: str) -> _Global:
        if name not in _GLOBALS:
            raise self.refusal(f"refuses to load {name.replace(' ', '.')}")
        return _GLOBALS[name]

    def _reduce(self, function: object, arguments: tuple[Any, ...]) -> object:
        """What a call makes: the state of an array or type comes later, through `_build`."""
        if function is _Global.RECONSTRUCT and arguments[0] is _Global.NDARRAY:
            return PickledArray()
        if function is _Global.DTYPE:
            code = arguments[0].short or b""
            if not _TYPE_CODE.fullmatch(code):
                raise self.refusal(f"an array of type {code!r}, which is not read")
            return _PickledType(np.dtype(code.decode("ascii")))
        if function is _Global.SCALAR and self._with_numbers:
            return PickledArray((), arguments[0].dtype, False, arguments[1])
        if function is _Global.ENCODE and _text(arguments[1]) == "latin1":
            return replace(arguments[0], is_text=False, encoded=True)
        if function is _Global.BYTES and arguments == ():
            return PickledString(self._file.tell(), 0, b"")
        raise self.refusal("the pickle calls something other than numpy's own")

    def _build(self, target: object, state: tuple[Any, ...]) -> None:
        """Give an array or a type the state that `numpy.ndarray.__setstate__` would take."""
        if isinstance(target, _PickledType):
            byte_order = _text(state[1])
            if byte_order in ("<", ">"):
                target.dtype = target.dtype.newbyteorder("<" if byte_order == "<" else ">")
        elif isinstance(target, PickledArray):
            _, shape, dtype, fortran, content = state
            if not all(isinstance(size, int) and size >= 0 for size in shape):
                raise self.refusal(f"an array of shape {shape!r}")
            target.shape = tuple(int(size) for size in shape)
            target.dtype = dtype.dtype
            target.fortran = bool(fortran)
            target.content = content
        else:
            raise self.refusal("the pickle changes something other than an array")


def _text(value: PickledString) -> str:
    return (value.short or b"").decode("utf-8")
