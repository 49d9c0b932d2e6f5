"""The motion branch of a model in a simulator, while all else stays in PyTorch.

`mdft` does not import `hardware`: a model trains and labels without any simulator. Only where a
user names a backend is the bridge, ``export.simulated``, looked for by name.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from mdft.data.dataset import Batch
from mdft.errors import UserError
from mdft.model.mdft import MDFT
from mdft.systems.interface import Embedded, System
from mdft.systems.mdft import embedded


class MotionBackend:
    """Embeds clips with the motion branch in a simulator.

    Args:
        model: a trained MDFT with a spiking network, on the CPU.
        name: a key of ``hardware.backends.BACKENDS``, such as ``lava_fixed``.

    Raises:
        UserError: no such backend, or it cannot run this model.
    """

    def __init__(self, model: System, name: str) -> None:
        if not (isinstance(model, MDFT) and model.spiking):
            raise UserError("--motion-backend: the run has no spiking network to simulate")
        try:
            find = import_module("hardware.backends").find_backend
            make: Callable[..., Any] = import_module("export.simulated").SimulatedMotion
        except ImportError as error:
            raise UserError(f"--motion-backend {name}: {error}; install the package") from error
        try:
            self.motion = make(model, find(name))
        except ValueError as error:  # of `hardware`, whose mistakes are of a class of their own
            raise UserError(f"--motion-backend: {error}") from error

    def __call__(self, batch: Batch) -> Embedded:
        """Embed clips.

        Raises:
            UserError: the simulator refuses.
        """
        try:
            return embedded(self.motion(batch), batch)
        except ValueError as error:
            raise UserError(f"--motion-backend: {error}") from error

    def compared(self) -> tuple[int, int]:
        """Spikes that differ from PyTorch's so far, and how many were compared."""
        layers = self.motion.layers().values()
        return sum(x.differing for x in layers), sum(x.compared for x in layers)
