"""lava-dl's netx as a backend: blocks from the .net file, with the other inputs connected."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hardware.fixed_point.integers import IntegerNetwork
from hardware.graph.network import Recording
from hardware.lava.build import LavaNetwork, dense_process, require_lava, ring_process
from hardware.lava.inline import run_inline
from hardware.lava.netx import check_sums, netx_layers, write_hdf5
from hardware.lava.plan import GRADED_BITS, Plan, plan_fixed
from hardware.lava.process import run_process
from hardware.lava.run import RUNTIMES
from mdft.errors import UserError


def netx(
    network: IntegerNetwork, inputs: dict[str, np.ndarray], runtime: str = "inline"
) -> Recording:
    """Run a quantised network in lava-dl's netx: a chain of populations with any number of inputs.

    Args:
        network: the result of `hardware.fixed_point.quantise.quantise`.
        inputs: real numbers (B, S, width), by input name.
        runtime: "inline" (one OS process, records membranes too) or "process" (Lava's own runtime
            in a guarded child process, records spikes only).

    Raises:
        UserError: netx cannot express a population, or a package is missing.
    """
    layers = netx_layers(network)
    plan = plan_fixed(network, inputs)
    check_sums(layers, {name: int(np.abs(x).max()) for name, x in plan.streams.items()})
    if runtime not in RUNTIMES:
        raise UserError(f"runtime {runtime!r} is unknown, expected one of {RUNTIMES}")
    require_lava()
    if runtime == "process":
        spikes, membranes = run_process(plan, netx=partial(write_hdf5, network)), {}
    else:
        spikes, membranes = _inline(network, plan)
    return Recording(spikes, membranes, network.membrane_units, {}, network.membrane_offsets)


def _inline(
    network: IntegerNetwork, plan: Plan
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    require_netx()
    with tempfile.TemporaryDirectory(prefix="netx_") as folder:
        path = Path(folder) / "network.net"
        write_hdf5(network, path)
        return run_inline(plan, partial(build_netx, path=path))


def require_netx() -> None:
    """Import netx without its output: it imports torch, matplotlib and more, and prints.

    Raises:
        UserError: lava-nc or lava-dl is not installed, or cannot be imported.
    """
    require_lava()
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            importlib.import_module("lava.lib.dl.netx.hdf5")
    except ImportError as error:
        raise UserError(
            f"lava-dl's netx cannot be imported ({error}); it needs lava-dl and Python 3.10"
        ) from error
    finally:
        logging.disable(before)


def build_netx(plan: Plan, path: Path) -> LavaNetwork:
    """Load the blocks from their file and connect every input; call `require_netx` first.

    Each group that `write_hdf5` wrote under `further` is connected by a Dense of its own.
    """
    from lava.lib.dl.netx import hdf5
    from lava.lib.dl.netx.blocks.models import PyDenseModel
    from lava.proc.dense.models import PyDenseModelBitAcc
    from lava.proc.lif.models import PyLifResetModelBitAcc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # netx divides by the largest weight, which may be 0
        loaded: Any = hdf5.Network(
            net_config=str(path),
            input_message_bits=GRADED_BITS,
            reset_interval=plan.steps,
            reset_offset=1,
        )
    net = LavaNetwork([], {}, {loaded: hdf5.PyNetworkModel})
    file: Any
    with loaded.net_config.f as file:
        ring_process(plan, net, file["layer/0/name"].asstr()[()], 0).s_out.connect(loaded.inp)
        for i, (block, p) in enumerate(zip(loaded.layers, plan.lifs, strict=True), start=1):
            for synapses in file.get(f"further/{i}", {}).values():
                _connect(plan, net, synapses, block)
            net.order.extend([block.synapse, block.neuron])
            net.lifs[p.name] = block.neuron
            net.models[block] = PyDenseModel
            net.models[block.synapse] = PyDenseModelBitAcc
            net.models[block.neuron] = PyLifResetModelBitAcc
    return net


def _connect(plan: Plan, net: LavaNetwork, synapses: Any, block: Any) -> None:
    """Connect one group of `further` in the file to the neurons of a block by a Dense."""
    source = synapses["source"].asstr()[()]
    graded = source in plan.streams
    dense = dense_process(
        plan,
        net,
        synapses["weight"][()],
        int(synapses["weightExp"][()]),
        GRADED_BITS if graded else 0,
    )
    start = ring_process(plan, net, source, int(synapses["delay"][()])) if graded else None
    (start or net.lifs[source]).s_out.connect(dense.s_in)
    dense.a_out.connect(block.neuron.a_in)
    net.order.append(dense)
