"""A pickle read as a program, before it is run: what it declares, and what it would make of it."""

from __future__ import annotations

import pickletools
from typing import Any

from mdft.errors import UserError

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
