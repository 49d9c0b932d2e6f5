"""One adapter file for each reader, and the table of readers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reader:
    """A reader of NIR files.

    Attributes:
        name: the name on the command line and in the table.
        adapter: the file in this folder, without `.py`.
        packages: what its environment is made of; empty: the project's own environment.
        option: a text that its adapter is given.
        fixed: whether it rounds the graph to integers.
    """

    name: str
    adapter: str
    packages: tuple[str, ...] = ()
    option: str = ""
    fixed: bool = False


_TORCH = ("torch==2.13.0", "nirtorch", "nir")
_OURS = ("reference_float", "lava_float", "reference_int", "lava_fixed", "netx")
_TABLE = (
    *(Reader(n, "mdft", option=n, fixed=n in _OURS[2:]) for n in _OURS),
    Reader("snntorch", "snntorch", ("snntorch", *_TORCH)),
    Reader("norse", "norse", ("norse", *_TORCH)),
    Reader("spikingjelly", "spikingjelly", ("spikingjelly", *_TORCH)),
    Reader("sinabs", "sinabs", ("sinabs", *_TORCH)),
    Reader("rockpool", "rockpool", ("rockpool", *_TORCH)),
    Reader("spyx", "spyx", ("spyx", "nir")),
    Reader("nengo", "nengo", ("nengo", "nir")),
)
READERS: dict[str, Reader] = {reader.name: reader for reader in _TABLE}
