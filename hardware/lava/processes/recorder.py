"""A sink process that writes each step into a .npy file, which the parent process can read."""

from __future__ import annotations

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Recorder(AbstractProcess):
    """Write the vector of step t (from 1) into row t − 1 of a uint8 .npy file.

    Reading a Var of Lava takes 30 to 60 µs per value; a memory-mapped file avoids this.

    Args:
        shape: the shape of the port, (N,).
        file: an existing .npy file of shape (steps, N), uint8.
    """

    def __init__(self, *, shape: tuple[int, ...], file: str) -> None:
        super().__init__(shape=shape, file=file)
        self.a_in = InPort(shape=shape)


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
class PyRecorderModel(PyLoihiProcessModel):
    """The Recorder on a CPU, for floating and fixed point."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)  # type: ignore[assignment]

    def __init__(self, proc_params: dict) -> None:
        super().__init__(proc_params)
        self.rows = np.load(proc_params["file"], mmap_mode="r+")

    def run_spk(self) -> None:
        """Receive one vector and write it to the file."""
        self.rows[self.time_step - 1] = self.a_in.recv()
