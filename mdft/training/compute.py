"""Precision and compilation of the dense (non-spiking) part of a training step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

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
        system.rjlu.step = _compiled(system.rjlu.step, mode)
    if isinstance(system.crm, CRM):
        crm = system.crm
        for part in (crm.audio_fusion.tail, crm.visual_fusion.tail, crm.cross_modal):
            part.forward = _compiled(part.forward, mode)


def _compiled(work: Callable[..., Any], mode: CompileName) -> Callable[..., Any]:
    """``torch.compile``, with results that stay.

    Those of a CUDA graph are in its own memory, which the next call of any compiled part overwrites
    if no gradient is pending, as in validation: the step of the next second would overwrite this
    one's, and PyTorch raises a RuntimeError where it is read.
    """
    compiled = torch.compile(work, mode=mode)
    if mode != "reduce-overhead":
        return compiled

    def kept(*given: Any) -> Any:
        return tree_map_only(Tensor, Tensor.clone, compiled(*given))

    return kept
