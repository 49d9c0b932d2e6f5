"""Pickles from strangers: numpy arrays, dicts, lists, strings and numbers, and nothing else.

A pickle is a program. This one may call only what is named here, and none of that is numpy's own
code for unpickling, which trusts what it is given: a call becomes a small description that we
check and turn into an array ourselves. ``scan`` reads the program first and refuses declared
sizes that the file cannot hold, before anything is allocated for them.
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

#: Of an array: axes in numpy 1, and what its sizes are counted in.
_MOST_AXES, _LARGEST = 32, 2**63 - 1
#: Bits of a number; longer ones take minutes to print.
_MOST_BITS = 1024
#: The type of an array's elements: bool, integers, floats, bytes, str, and O for nested objects.
_DTYPE = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248]|[SU]\d{1,7}|O8?)")


class _Dtype:
    """What ``numpy.dtype(spec)`` stands for."""

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
    """What ``_reconstruct(ndarray, ...)`` and the state that follows it stand for."""

    value: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data: Any, dtype: _Dtype, shape: Any, order: str = "C") -> np.ndarray:
    """An array over ``data``, whose length must be that of the shape."""
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
    for i, value in enumerate(values):  # one by one: numpy would look into sequences
        array[i] = value
    return array


def _no_call(*_: object) -> None:
    raise UserError("a call of numpy.ndarray")  # it is an argument of _reconstruct, no more


def _reconstruct(*_: object) -> _Array:
    return _Array()  # the shape comes with the state, and is checked there


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
    """A function that a pickle may call but not alter, and that is no class."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise UserError(f"an assignment to {name}")


#: numpy before and since 2, pickle protocols 0 to 5.
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
    """The content of a pickle made of numpy arrays, dicts, lists, strings and numbers.

    Raises:
        UserError: it holds something else, is damaged, or declares more than it holds.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise UserError(f"{path}: the file is empty, expected a pickle")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _load(path, content)


def load_npy(path: Path) -> Any:
    """The object in an ``.npy`` file of numpy's pickled kind, read as :func:`load` reads.

    Raises:
        UserError: as :func:`load`, or it is not such a file.
        OSError: it cannot be read.
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
    except Exception as error:  # numpy reads the header with Python's own tokeniser
        raise UserError(f"{path}: not an .npy file ({_line(error)})") from error
    if shape != () or dtype != np.dtype(object):
        raise UserError(f"{path}: holds {dtype} {shape}, expected one pickled dict")
    found = _load(path, io.BytesIO(rest))
    return found.item() if isinstance(found, np.ndarray) and found.shape == () else found


def _load(path: Path, content: Any) -> Any:
    advice = "; admitted are numpy arrays, dicts, lists, strings and numbers"
    try:
        scan(content)
        content.seek(0)
        return _plain(_Unpickler(content).load())
    except UserError as error:
        raise UserError(f"{path}: the pickle holds {error}{advice}") from error
    except Exception as error:  # whatever a hostile program runs into
        raise UserError(f"{path}: damaged or not a pickle ({_line(error)}){advice}") from error


def _plain(found: Any) -> Any:
    """The same with descriptions replaced by the arrays they describe; no cycles."""
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


#: What leaves something other than a tuple. Only that may be memoised and fetched again: tuples
#: of tuples of one tuple take no room, yet the hash of one as a key visits all 2^depth of them.
_NO_TUPLE = {
    *("EMPTY_LIST", "LIST", "EMPTY_DICT", "DICT", "EMPTY_TUPLE", "REDUCE"),
    *("GLOBAL", "STACK_GLOBAL", "STRING", "BINSTRING", "SHORT_BINSTRING", "BYTEARRAY8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}


def scan(content: Any) -> None:
    """Read a pickle without running it.

    Args:
        content: a seekable file, read to the pickle's end.

    Raises:
        UserError: it memoises under a number that no honest program reaches, or has a tuple in
            two places.
        ValueError: it declares more bytes than it holds, or ends early.
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
        if name != "FRAME":  # may stand between a large object and its memo number
            before = name
