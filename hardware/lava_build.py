"""A plan made into Lava's own processes: RingBuffer, Dense, LIFReset."""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware.errors import UserError
from hardware.lava_plan import FIXED, LIFPlan, Plan


@dataclass(frozen=True)
class LavaNetwork:
    """Processes in topological order, the LIF of each population, and the model of each."""

    order: list[Any]
    lifs: dict[str, Any]
    models: dict[Any, type]


def require_lava() -> None:
    """Import Lava once, safely.

    Lava sets the start method of multiprocessing when it is imported and fails if one is set
    already: the earlier one is put aside and back. Warnings of the archived package are its own.

    Raises:
        UserError: lava-nc is not installed here, or another project's `lava` is.
    """
    if importlib.util.find_spec("lava") is None:
        raise UserError(
            "lava-nc is not installed; the Lava backends need Python 3.10 "
            "(reference_float and reference_int run anywhere)"
        )
    try:
        found = importlib.util.find_spec("lava.magma")
    except Exception:  # it imports `lava`: a stranger's package raises whatever it likes
        found = None
    if found is None:
        raise UserError(
            "another package named lava is installed; pip uninstall lava, then install lava-nc"
        )
    earlier = multiprocessing.get_start_method(allow_none=True)
    module = "lava.magma.runtime.message_infrastructure.multiprocessing"
    if module in sys.modules:
        return
    multiprocessing.set_start_method(None, force=True)  # type: ignore[arg-type]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(module)
            importlib.import_module("lava.magma.compiler.compiler")
    except (ImportError, ValueError) as error:  # lava-nc on Python 3.11: mutable default
        raise UserError(f"lava-nc cannot be imported ({error}); it needs Python 3.10") from error
    finally:
        multiprocessing.set_start_method(earlier, force=True)  # type: ignore[arg-type]


def build(plan: Plan) -> LavaNetwork:
    """Build and connect the processes of a plan; call `require_lava` first."""
    from lava.proc.dense import models as dense_models
    from lava.proc.dense.process import Dense
    from lava.proc.io import source as io_source

    fixed = plan.tag == FIXED
    dense_model = dense_models.PyDenseModelBitAcc if fixed else dense_models.PyDenseModelFloat
    ring_model = io_source.PySendModelFixed if fixed else io_source.PySendModelFloat
    net = LavaNetwork([], {}, {})
    rings: dict[tuple[str, int], Any] = {}
    for lif_plan in plan.lifs:
        lif = _lif(plan, lif_plan, net)
        for d in lif_plan.dense:
            key = (d.source, d.delay)
            if d.source in plan.streams and key not in rings:
                rings[key] = io_source.RingBuffer(data=_stream(plan, d.source, d.delay))
                net.models[rings[key]] = ring_model
                net.order.insert(0, rings[key])
            source = rings[key] if d.source in plan.streams else net.lifs[d.source]
            dense = Dense(
                weights=d.weight,
                weight_exp=d.weight_exp,
                num_weight_bits=8,
                num_message_bits=d.message_bits,
            )
            source.s_out.connect(dense.s_in)
            dense.a_out.connect(lif.a_in)
            net.models[dense] = dense_model
            net.order.append(dense)
        net.lifs[lif_plan.name] = lif
        net.order.append(lif)
    return net


def _lif(plan: Plan, p: LIFPlan, net: LavaNetwork) -> Any:
    from lava.proc.lif import models
    from lava.proc.lif.process import LIFReset

    lif = LIFReset(
        shape=(len(p.bias),),
        du=p.du,
        dv=p.dv,
        vth=p.vth,
        bias_mant=p.bias,
        bias_exp=p.bias_exp,
        reset_interval=plan.steps,
        reset_offset=1 + p.depth,
    )
    fixed = plan.tag == FIXED
    net.models[lif] = models.PyLifResetModelBitAcc if fixed else models.PyLifResetModelFloat
    return lif


def _stream(plan: Plan, source: str, delay: int) -> np.ndarray:
    """(width, total steps): the samples back to back, `delay` steps late, zeros around them."""
    x = plan.streams[source]
    out = np.zeros((x.shape[1], plan.total), x.dtype)
    out[:, delay : delay + len(x)] = x.T
    return out


def align(rows: np.ndarray, plan: Plan, depth: int) -> np.ndarray:
    """(total, N) as recorded → (B, S, N) aligned to the input steps."""
    return rows[depth : depth + plan.batch * plan.steps].reshape(plan.batch, plan.steps, -1)
