"""Reading `.npy` files whose arrays are pickled objects, without running what a pickle can run.

Unpickling calls whatever functions the file names, so `numpy.load(allow_pickle=True)` on a file
from elsewhere is running a program from elsewhere. Here the file may name nothing but the few
constructors that numpy itself writes, and even those are not numpy's: the stand-ins below check
every argument first, since numpy trusts them (a false shape makes it read beyond its memory).
"""

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.formats.memory import MEMORY_FACTOR, MEMORY_FLOOR


def load_object_array(path: Path) -> NDArray[Any]:
    """Read a `.npy` file of numbers, byte strings, or pickled lists, strings and numbers.

    Strings that Python 2 pickled come back as bytes; `as_text` turns either kind into text.

    Raises:
        DuetalError: missing, truncated or not `.npy`; or a pickle that names anything beyond
            numpy's array constructors ("refuses to load <module.name>").
    """
    try:
        with path.open("rb") as file:
            return _read(file, path.stat().st_size, path)
    except FileNotFoundError as error:
        raise DuetalError("no such file", file=path) from error
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=path) from error


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


def _read(file: BinaryIO, size: int, path: Path) -> NDArray[Any]:
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version[0]}.{version[1]} is not supported")
        read_header = np.lib.format.read_array_header_1_0
        if version == (2, 0):
            read_header = np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read_header(file)
    except Exception as error:
        # numpy parses the header as Python source: damage raises anything a parser can raise.
        raise DuetalError(f"not a readable .npy file: {_one_line(error)}", file=path) from error
    if dtype.hasobject:
        array = _unpickle(file.read(), path)
        if array.shape != shape:
            raise DuetalError(f"holds {array.shape}, its header says {shape}", file=path)
        return array
    expected = math.prod(shape) * dtype.itemsize
    if size - file.tell() != expected:
        cause = f"truncated: {size - file.tell()} bytes of data, its header says {expected}"
        raise DuetalError(cause, file=path)
    flat = np.frombuffer(file.read(), dtype=dtype, count=math.prod(shape))
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _unpickle(data: bytes, path: Path) -> NDArray[Any]:
    try:
        value = _RestrictedUnpickler(data).load()
    except _RefusedError as error:
        raise DuetalError(f"refuses to load {error}", file=path) from error
    except Exception as error:
        # A damaged pickle fails in any way that a wrong program can.
        cause = f"not a readable pickled array: {_one_line(error) or type(error).__name__}"
        raise DuetalError(cause, file=path) from error
    if not isinstance(value, np.ndarray):
        cause = f"holds a pickled {type(value).__name__}, expected an array"
        raise DuetalError(cause, file=path)
    return value.view(np.ndarray)


def _one_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


class _RefusedError(pickle.UnpicklingError):
    """The pickle names something that is not on the list."""


# Python's own implementation rather than the C one: its memo is a dictionary, so a few bytes of
# pickle can't make it allocate a table of billions of entries.
class _RestrictedUnpickler(pickle._Unpickler):
    def __init__(self, data: bytes):
        super().__init__(io.BytesIO(data), encoding="bytes")
        self.needed = 0
        self.allowed = max(MEMORY_FACTOR * len(data), MEMORY_FLOOR)

    def find_class(self, module: str, name: str) -> Any:
        constructor = _CONSTRUCTORS.get(f"{module}.{name}")
        if constructor is None:
            raise _RefusedError(f"{module}.{name}")
        return _Callable(constructor)

    def get_extension(self, code: int) -> NoReturn:
        raise _RefusedError(f"extension {code}")


#: What a single byte of pickle, or a few, make CPython allocate: a list, a dictionary, a place in
#: the memo.
_COSTS = {
    pickle.EMPTY_LIST: 88,
    pickle.LIST: 88,
    pickle.EMPTY_DICT: 72,
    pickle.DICT: 72,
    pickle.EMPTY_SET: 216,
    pickle.PUT: 70,
    pickle.BINPUT: 70,
    pickle.LONG_BINPUT: 70,
    pickle.MEMOIZE: 70,
}


def _costing(load: Callable[[Any], None], cost: int) -> Callable[[Any], None]:
    """An operation that is refused once the pickle has asked for more memory than it may."""

    def counted(unpickler: _RestrictedUnpickler) -> None:
        unpickler.needed += cost
        if unpickler.needed > unpickler.allowed:
            raise pickle.UnpicklingError("takes more memory than its size allows")
        load(unpickler)

    return counted


_operations: dict[int, Callable[[Any], None]] = pickle._Unpickler.dispatch
_RestrictedUnpickler.dispatch = _operations | {
    code[0]: _costing(_operations[code[0]], cost) for code, cost in _COSTS.items()
}


class _Callable:
    """A constructor as the pickle sees it: it can be called, and nothing else."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]):
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a constructor has no state")


class _PickledType:
    """Stands for `numpy.dtype`: plain numbers, strings and objects alone."""

    __slots__ = ("dtype",)

    def __init__(self, descriptor: Any, align: Any = False, copy: Any = False):
        self.dtype = np.dtype(as_text(descriptor))
        if self.dtype.kind not in "OSUbiuf" or self.dtype.shape or self.dtype.names:
            raise pickle.UnpicklingError(f"dtype {self.dtype} is not expected here")

    def __setstate__(self, state: Any) -> None:
        _, byte_order, *rest = state
        if any(part is not None for part in rest[:3]):
            raise pickle.UnpicklingError("structured dtypes are not expected here")
        self.dtype = self.dtype.newbyteorder(as_text(byte_order))  # type: ignore[arg-type]


class _PickledArray(np.ndarray[Any, np.dtype[Any]]):
    """An array that checks its pickled state before numpy believes it."""

    def __setstate__(self, state: Any) -> None:
        _, shape, pickled_type, fortran_order, content = state
        dtype = pickled_type.dtype
        if not all(type(length) is int and length >= 0 for length in shape):
            raise pickle.UnpicklingError(f"impossible shape {shape!r}")
        count = math.prod(shape)
        if dtype.kind == "O":
            complete = type(content) is list and len(content) == count
        else:
            complete = type(content) is bytes and len(content) == count * dtype.itemsize
        if not complete:
            raise pickle.UnpicklingError("array content does not fit its shape")
        super().__setstate__((1, tuple(shape), dtype, bool(fortran_order), content))  # type: ignore[arg-type]


def _ndarray(*_: Any) -> NoReturn:
    raise pickle.UnpicklingError("numpy.ndarray is named in a pickle, never called")


def _reconstruct(subtype: Any, shape: Any, code: Any) -> _PickledArray:
    if shape != (0,):
        raise pickle.UnpicklingError(f"array begins with the shape {shape!r}")
    return np.empty(0, dtype=object).view(_PickledArray)


def _scalar(pickled_type: _PickledType, content: Any = None) -> Any:
    dtype = pickled_type.dtype
    if dtype.kind == "O" or type(content) is not bytes or len(content) != dtype.itemsize:
        raise pickle.UnpicklingError("scalar content does not fit its type")
    return np.frombuffer(content, dtype=dtype)[0]


def _bytes_from_latin1(text: Any, encoding: Any) -> bytes:
    """`_codecs.encode`, by which Python 3 writes bytes in protocols that Python 2 reads."""
    if as_text(encoding) != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r} is not expected here")
    return as_text(text).encode("latin1")


def _empty_bytes() -> bytes:
    """`bytes` without arguments: given a number it would allocate as many bytes."""
    return b""


#: Everything a pickle may name. numpy 2 renamed `numpy.core`; both spellings are in use.
_CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    "numpy.ndarray": _ndarray,
    "numpy.dtype": _PickledType,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy._core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "_codecs.encode": _bytes_from_latin1,
    "__builtin__.bytes": _empty_bytes,
    "builtins.bytes": _empty_bytes,
}
