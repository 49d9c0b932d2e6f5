"""Run an exported motion graph in NumPy and in Lava; the inputs are .nir and .npz files.

`load` reads a graph, `simulate` runs it; the commands are ``python -m hardware.run``, ``python -m
hardware.report`` and ``python -m hardware.netx``. The package does not import torch, and only
:mod:`mdft.cli` and :mod:`mdft.errors` of this project; the names below are imported at first use.
"""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "backends": ["BACKENDS"],
        "graph.network": ["Network", "Recording"],
        "simulation": ["load", "simulate"],
    },
)

if TYPE_CHECKING:
    from hardware.backends import BACKENDS as BACKENDS
    from hardware.graph.network import Network as Network
    from hardware.graph.network import Recording as Recording
    from hardware.simulation import load as load
    from hardware.simulation import simulate as simulate
