"""How the dense part of a step is computed: its precision, and what is compiled."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from mdft.config.train import CompileName, ComputeConfig
from mdft.model.crm import CRM
from mdft.model.mdft import MDFT
from mdft.systems.interface import System


def dense_precision(config: ComputeConfig, device: torch.device) -> AbstractContextManager[object]:
    """What a training step's loss is computed in: bfloat16 where torch deems it safe, or as is.

    The motion branch, its thresholds and DAB take no part: :mod:`mdft.lif.precision`.
    """
    return torch.autocast(device.type, torch.bfloat16) if config.autocast else nullcontext()


def compile_dense(system: System, mode: CompileName) -> None:
    """Compile the step of the RJLU and the attention of the CRM, in place; no name changes.

    Not whole modules: one step serves clips of any length, where a loop would be compiled for
    each, and what selects seconds by their mask has no fixed shape.
    """
    if mode == "no":
        return
    assert isinstance(system, MDFT)
    if system.rjlu is not None:
        system.rjlu.step = torch.compile(system.rjlu.step, mode=mode)
    if isinstance(system.crm, CRM):
        for part in (system.crm.audio_fusion, system.crm.visual_fusion):
            part.tail.compile(mode=mode)
        system.crm.cross_modal.compile(mode=mode)
