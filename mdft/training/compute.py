"""Precision and compilation of the dense (non-spiking) part of a training step."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from mdft.config.train import CompileName, ComputeConfig
from mdft.model.crm import CRM
from mdft.model.mdft import MDFT
from mdft.systems.interface import System


def dense_precision(config: ComputeConfig, device: torch.device) -> AbstractContextManager[object]:
    """A context that computes a training step's loss under bfloat16 autocast if configured.

    The motion branch, its thresholds and the DAB stay in float32; see :mod:`mdft.lif.precision`.
    """
    return torch.autocast(device.type, torch.bfloat16) if config.autocast else nullcontext()


def compile_dense(system: System, mode: CompileName) -> None:
    """Compile the step of the RJLU and the attention of the CRM in place; state_dict keys stay.

    Whole modules are not compiled: the loop over seconds would be compiled again for each length
    of clip, and indexing with the mask has no static shape.
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
