"""Build Lava processes (RingBuffer, Dense, LIFReset) from a plan."""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from hardware.graph.matrices import Matrix, identity, is_sparse
from hardware.lava.plan import FIXED, LIFPlan, Plan
from mdft.errors import UserError


@dataclass(frozen=True)
class LavaNetwork:
    """The processes in topological order, the LIF of each population, and each process's model."""

    order: list[Any]
    lifs: dict[str, Any]
    models: dict[Any, type]


def require_lava() -> None:
    """Import Lava without side effects on multiprocessing.

    Lava sets the start method of multiprocessing when it is imported, and fails if one is already
    set: the earlier one is cleared first and restored afterwards. Lava's warnings are suppressed.

    Raises:
        UserError: lava-nc is not installed, or another package named `lava` is.
    """
    if importlib.util.find_spec("lava") is None:
        raise UserError(
            "lava-nc is not installed; the Lava backends need Python 3.10 "
            "(reference_float and reference_int run anywhere)"
        )
    try:
        found = importlib.util.find_spec("lava.magma")
    except Exception:  # it imports `lava`, which can raise any exception
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
    net = LavaNetwork([], {}, {})
    sources: dict[tuple[str, int], Any] = {}
    net.lifs.update({p.name: _lif(plan, p, net) for p in plan.lifs})
    for p in plan.lifs:
        lif = net.lifs[p.name]
        for d in p.dense:
            dense = dense_process(plan, net, d.weight, d.weight_exp, d.message_bits)
            _source(plan, net, sources, d.source, d.delay).connect(dense.s_in)
            net.order.append(dense)
            dense.a_out.connect(lif.a_in)
        net.order.append(lif)
    return net


def _source(
    plan: Plan, net: LavaNetwork, made: dict[tuple[str, int], Any], name: str, delay: int
) -> Any:
    """Return the port of a source with a delay of `delay` steps; each is made once.

    For an input, its stream starts later. The spikes of a population go through identity Dense
    processes, one step each; 0 and 1 are exact in both arithmetics.
    """
    if name not in plan.streams and not delay:
        return net.lifs[name].s_out
    if (name, delay) not in made:
        if name in plan.streams:
            made[name, delay] = ring_process(plan, net, name, delay).s_out
        else:
            size = net.lifs[name].proc_params["shape"][0]
            relay = dense_process(plan, net, identity(size), 0, 0)
            _source(plan, net, made, name, delay - 1).connect(relay.s_in)
            net.order.append(relay)
            made[name, delay] = relay.a_out
    return made[name, delay]


def ring_process(plan: Plan, net: LavaNetwork, name: str, delay: int) -> Any:
    """Add the process that streams an input with a delay of `delay` steps, and return it."""
    from lava.proc.io import source

    ring = source.RingBuffer(data=_stream(plan, name, delay))
    fixed = plan.tag == FIXED
    net.models[ring] = source.PySendModelFixed if fixed else source.PySendModelFloat
    net.order.insert(0, ring)
    return ring


def dense_process(plan: Plan, net: LavaNetwork, weight: Matrix, exponent: int, bits: int) -> Any:
    """Return a Dense (Sparse for a sparse matrix) of `weight` (N, M); the caller adds it."""
    from lava.proc.dense import models
    from lava.proc.dense.process import Dense

    if is_sparse(weight):
        return _sparse_process(plan, net, weight, exponent, bits)
    fixed = plan.tag == FIXED
    dense = Dense(
        weights=weight.astype(np.int32) if fixed else weight,
        weight_exp=exponent,
        num_weight_bits=8,
        num_message_bits=bits,
    )
    net.models[dense] = models.PyDenseModelBitAcc if fixed else models.PyDenseModelFloat
    return dense


def _sparse_process(plan: Plan, net: LavaNetwork, weight: Matrix, exponent: int, bits: int) -> Any:
    from lava.proc.sparse import models
    from lava.proc.sparse.process import Sparse

    fixed = plan.tag == FIXED
    process = Sparse(
        weights=sparse.csr_matrix(weight.astype(np.int32) if fixed else weight),
        weight_exp=exponent,
        num_weight_bits=8,
        num_message_bits=bits,
    )
    net.models[process] = models.PySparseModelBitAcc if fixed else models.PySparseModelFloat
    return process


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
    """Return (width, total steps): consecutive samples, `delay` steps late, padded with zeros."""
    x = plan.streams[source]
    out = np.zeros((x.shape[1], plan.total), x.dtype)
    kept = x.T[:, : max(plan.total - delay, 0)]  # what comes later arrives after the run
    out[:, delay : delay + kept.shape[1]] = kept
    return out


def align(rows: np.ndarray, plan: Plan, depth: int) -> np.ndarray:
    """Convert a recording (total, N) to (B, S, N), aligned to the input steps."""
    return rows[depth : depth + plan.batch * plan.steps].reshape(plan.batch, plan.steps, -1)
