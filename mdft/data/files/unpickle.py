"""Read untrusted pickles of NumPy arrays, dicts, lists, strings and numbers, and nothing else.

A pickle is a program. Here it may call only the functions in ``_ADMITTED``. NumPy's own unpickling
functions are not among them, because they trust their arguments: a call creates a small
description, which is checked and then turned into an array. ``scan`` reads the program first and
refuses declared sizes that exceed the file, before memory is allocated.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from reprlib import repr as short
from typing import Any

import numpy as np

from mdft.errors import UserError

#: Limits of an array: the number of axes in NumPy 1, and the largest size of an axis (int64).
_MOST_AXES, _LARGEST = 32, 2**63 - 1
#: Limit on the bits of an integer; longer ones take minutes to print.
_MOST_BITS = 1024
#: Allowed dtypes of an array: bool, integers, floats, bytes, str, and O for nested objects.
_DTYPE = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248]|[SU]\d{1,7}|O8?)")


class _Dtype:
    """Description of ``numpy.dtype(spec)``."""

    def __init__(self, spec: object, *_: object) -> None:
        if not (isinstance(spec, str) and _DTYPE.fullmatch(spec)):
            raise UserError(f"an array of {short(spec)}, expected plain numbers or strings")
        self.spec = spec.lstrip("|<>=")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order, fields = state[1], state[2:5]
        if order not in ("<", ">", "|", "=") or any(f is not None for f in fields):
            raise UserError("a structured array, expected plain numbers or strings")
        self.spec = order + self.spec

    def numpy(self) -> np.dtype:
        return np.dtype(self.spec)


class _Array:
    """Description of ``_reconstruct(ndarray, ...)`` and of the state that follows it."""

    value: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data: Any, dtype: _Dtype, shape: Any, order: str = "C") -> np.ndarray:
    """An array over ``data``, whose length must match the shape."""
    kind = dtype.numpy()
    shape = tuple(int(n) for n in (shape if isinstance(shape, tuple) else (shape,)))
    if len(shape) > _MOST_AXES or max(map(abs, shape), default=0) > _LARGEST:
        raise UserError(f"an array of {len(shape)} axes, or one that is too long")
    size = 1
    for n in shape:
        size *= n
    if kind.hasobject:
        if not isinstance(data, list) or len(data) != size or min(shape, default=0) < 0:
            raise UserError(f"an array of shape {shape} with other contents")
        array = _objects(data)
    else:
        if kind.itemsize == 0 or min(shape, default=0) < 0 or len(data) != size * kind.itemsize:
            raise UserError(f"an array of shape {shape} with {len(data)} bytes of {kind}")
        array = np.frombuffer(data, kind)
    return array.reshape(shape, order=order)  # type: ignore[call-overload]


def _objects(values: list[Any]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):  # one by one: NumPy would unpack nested sequences
        array[i] = value
    return array


def _no_call(*_: object) -> None:
    raise UserError("a call of numpy.ndarray")  # allowed only as an argument of _reconstruct


def _reconstruct(*_: object) -> _Array:
    return _Array()  # __setstate__ receives and checks the shape


def _scalar(dtype: _Dtype, data: Any = b"") -> Any:
    if dtype.numpy().hasobject:
        raise UserError("a scalar object")
    return _array(data, dtype, ()).item()


def _frombuffer(data: Any, dtype: _Dtype, shape: Any, order: str = "C") -> np.ndarray:
    if order not in ("C", "F"):
        raise UserError(f"an array of order {short(order)}")
    return _array(data, dtype, shape, order)


def _encode(text: str, codec: str) -> bytes:
    if codec not in ("latin1", "latin-1"):
        raise UserError(f"the codec {short(codec)}")
    return text.encode("latin1")


class _Call:
    """Wraps a function so that a pickle may call it, but not modify or subclass it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise UserError(f"an assignment to {name}")


#: The callables of NumPy 1 and 2 and of pickle protocols 0 to 5.
_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _no_call,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
} | {
    (f"numpy.{core}.{module}", name): call
    for core in ("core", "_core")
    for module, name, call in (
        ("multiarray", "_reconstruct", _reconstruct),
        ("multiarray", "scalar", _scalar),
        ("numeric", "_frombuffer", _frombuffer),
    )
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise UserError(f"{module}.{name}")
        return _Call(_ADMITTED[module, name])

    def persistent_load(self, pid: Any) -> Any:
        raise UserError("a persistent object")


def load(path: Path) -> Any:
    """Load a pickle of NumPy arrays, dicts, lists, strings and numbers.

    Raises:
        UserError: the file has other content, is damaged, or declares more bytes than it has.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise UserError(f"{path}: the file is empty, expected a pickle")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _load(path, content)


def load_npy(path: Path) -> Any:
    """Load the pickled object of an ``.npy`` file, with the same restrictions as :func:`load`.

    Raises:
        UserError: as :func:`load`, or it is not such a file.
        OSError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"version {version}")
            header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
            shape, _, dtype = header(file)
            rest = file.read()
    except OSError:
        raise
    except Exception as error:  # NumPy parses the header with Python's tokeniser
        raise UserError(f"{path}: not an .npy file ({_line(error)})") from error
    if shape != () or dtype != np.dtype(object):
        raise UserError(f"{path}: holds {dtype} {shape}, expected one pickled dict")
    found = _load(path, io.BytesIO(rest))
    return found.item() if isinstance(found, np.ndarray) and found.shape == () else found


def _load(path: Path, content: Any) -> Any:
    advice = "; only numpy arrays, dicts, lists, strings and numbers are allowed"
    try:
        scan(content)
        content.seek(0)
        return _plain(_Unpickler(content).load())
    except UserError as error:
        raise UserError(f"{path}: the pickle holds {error}{advice}") from error
    except Exception as error:  # a malicious program can raise anything
        raise UserError(f"{path}: damaged or not a pickle ({_line(error)}){advice}") from error


def _plain(found: Any) -> Any:
    """Replace descriptions by the arrays that they describe; refuse cycles."""
    done: dict[int, Any] = {}
    open_: set[int] = set()

    def walk(value: Any) -> Any:
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise UserError(f"a number of {value.bit_length()} bits")
        if isinstance(value, (str, bytes, int, float, np.ndarray, type(None))) and not (
            isinstance(value, np.ndarray) and value.dtype.hasobject
        ):
            return value
        if id(value) in done:
            return done[id(value)]
        if id(value) in open_:
            raise UserError("an object that contains itself")
        open_.add(id(value))
        done[id(value)] = new = _rebuilt(value, walk)
        open_.remove(id(value))
        return new

    return walk(found)


def _rebuilt(value: Any, walk: Callable[[Any], Any]) -> Any:
    if isinstance(value, _Array):
        return walk(value.value)
    if isinstance(value, np.ndarray):
        return _objects([walk(v) for v in value.ravel()]).reshape(value.shape)
    if isinstance(value, dict):
        return {walk(k): walk(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [walk(v) for v in value]
    if isinstance(value, bytearray):
        return bytes(value)
    raise UserError(f"{type(value).__module__}.{type(value).__qualname__}")


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


#: Opcodes that push something other than a tuple. Only their results may be memoised and reused:
#: nested tuples that share one tuple are small, but hashing one as a key visits 2^depth of them.
_NO_TUPLE = {
    *("EMPTY_LIST", "LIST", "EMPTY_DICT", "DICT", "EMPTY_TUPLE", "REDUCE"),
    *("GLOBAL", "STACK_GLOBAL", "STRING", "BINSTRING", "SHORT_BINSTRING", "BYTEARRAY8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}


def scan(content: Any) -> None:
    """Check a pickle without executing it.

    Args:
        content: a seekable file, read to the end of the pickle.

    Raises:
        UserError: a memo number exceeds the number of opcodes, or a tuple is used twice.
        ValueError: the pickle declares more bytes than it has, or ends early.
    """
    memo: dict[int, bool] = {}
    before = ""
    for count, (code, argument, _) in enumerate(pickletools.genops(content)):
        name = code.name
        if name == "MEMOIZE" or "PUT" in name:
            number = len(memo) if name == "MEMOIZE" else int(argument or 0)
            if number > count:
                raise UserError(f"memo number {number}")
            memo[number] = before in _NO_TUPLE
        elif name == "DUP" or ("GET" in name and not memo.get(int(argument or 0))):
            raise UserError("a tuple in two places")
        if name != "FRAME":  # may come between a large object and its memo opcode
            before = name
