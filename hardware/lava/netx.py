"""lava-dl's network exchange: the integer network as its HDF5 file, and the limits of netx."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hardware.fixed_point.integers import (
    BIAS_LIMIT,
    MAGNITUDE_LIMIT,
    WEIGHT_LIMIT,
    IntegerNetwork,
    IntegerPopulation,
    IntegerSynapses,
)
from hardware.graph.matrices import is_sparse
from mdft.errors import UserError

BIAS_EXP = 6  # fixed in netx
SUM_LIMIT = 1 << 31


@dataclass(frozen=True)
class NetxLayer:
    """One dense block of netx, and the other synapses of its neurons.

    Attributes:
        name: the name of the population.
        main: the source whose weights the block holds: an input for the first block, else the
            population before.
        weight: (N, M) int64, shifted by its exponent; netx has no weight exponent.
        bias_mant: (N,) int64, shifted by 6 in Lava.
        du: the decay of the current, (du + 1)/4096; 4095 is a current without memory.
        dv: the decay of the membrane in 1/4096.
        vth: the threshold, shifted by 6 in Lava.
        further: the other synapses: from other inputs, and from `main` if quantise split its
            weights by their sign.
    """

    name: str
    main: str
    weight: np.ndarray
    bias_mant: np.ndarray
    du: int
    dv: int
    vth: int
    further: tuple[IntegerSynapses, ...]


def netx_layers(network: IntegerNetwork) -> tuple[NetxLayer, ...]:
    """Return the network as a chain of netx's dense blocks.

    The first block holds the widest of its inputs, every other block the population before it.

    Raises:
        UserError: netx cannot express a population; the message names it and the reason.
    """
    layers: list[NetxLayer] = []
    for p in network.populations:
        before = layers[-1].name if layers else None
        layers.append(_layer(p, before, {q.name for q in network.populations}))
    last = layers[-1].name
    for output, source in network.source.outputs.items():
        if source != last:
            raise UserError(
                f"output {output!r} carries {source!r}, netx gives the last block's spikes, "
                f"those of {last!r}"
            )
    return tuple(layers)


def _layer(p: IntegerPopulation, before: str | None, populations: set[str]) -> NetxLayer:
    if not p.fires:
        raise UserError(f"{p.name}: sends its membrane, netx's blocks send spikes only")
    du, dv, vth = p.du, p.dv, p.vth
    if not (isinstance(du, int) and isinstance(dv, int) and isinstance(vth, int)):
        raise UserError(f"{p.name}: its neurons differ in decay or threshold, netx's block has one")
    for s in p.synapses:
        if is_sparse(s.weight) or s.delay:
            what = "a convolution, pooling" if is_sparse(s.weight) else "recurrence"
            raise UserError(
                f"{p.name}, from {s.source!r}: {what} or delay; netx gets dense blocks only"
            )
        if s.source in populations and s.source != before:
            raise UserError(
                f"{p.name}: the edge from {s.source!r} leaves the chain; netx connects a block "
                "to the block before it only"
            )
    main = before or max(p.synapses, key=lambda s: s.weight.shape[1]).source
    found = [i for i, s in enumerate(p.synapses) if s.source == main]
    if not found:
        raise UserError(f"{p.name}: no edge from {main!r}; netx connects each block to the last")
    weight = _weight(p.name, p.synapses[found[0]])
    further = tuple(s for i, s in enumerate(p.synapses) if i != found[0])
    return NetxLayer(p.name, main, weight, _bias(p), du, dv, vth, further)


def _weight(name: str, s: IntegerSynapses) -> np.ndarray:
    """Return the shifted weights; refuse those that netx's scaling to 8 bits would change."""
    weight = s.weight << s.weight_exp
    high, low = int(weight.max()), int(weight.min())
    found = f"{name}: weights from {s.source!r}"
    limit = 2 * WEIGHT_LIMIT if low < 0 else MAGNITUDE_LIMIT
    if max(high, -low) > limit:
        raise UserError(
            f"{found} reach {max(high, -low)} units, expected at most {limit}; "
            "netx has 8 bits and no weight exponent"
        )
    if high == low == 0:
        raise UserError(f"{found} are all 0, and netx divides by the largest")
    # optimize_weight_bits turns a power of two into -256, which Lava clips to -255, and requires
    # nine bits if an odd weight lies below -128.
    odd = bool((weight & 1).any())
    if high <= 0 and ((low & -low) == -low or (odd and low < -128)):
        raise UserError(f"{found} are inhibitory down to {low}; netx's scaling changes them")
    return weight


def _bias(p: IntegerPopulation) -> np.ndarray:
    membrane = p.bias_mant << p.bias_exp
    mant = membrane >> BIAS_EXP
    if (mant << BIAS_EXP != membrane).any():
        raise UserError(f"{p.name}: bias is not a multiple of 64, netx has bias exponent 6 only")
    if np.abs(mant).max() > BIAS_LIMIT:
        raise UserError(
            f"{p.name}: bias reaches {np.abs(mant).max()}, expected at most {BIAS_LIMIT} (13 bits "
            "at netx's bias exponent 6)"
        )
    return mant


def check_sums(layers: tuple[NetxLayer, ...], peaks: dict[str, int]) -> None:
    """Check that sums stay within 32 bits: netx scales weights up and shifts the sum back.

    Args:
        layers: the result of `netx_layers`.
        peaks: the largest magnitude of each input in units of its grid; 1 for spikes.

    Raises:
        UserError: a sum could exceed the limit; the message names the population.
    """
    for layer in layers:
        scale = 256 // int(np.abs(layer.weight).max())  # netx multiplies by at most this
        reach = int(np.abs(layer.weight).sum(1).max()) * peaks.get(layer.main, 1) * scale
        if reach >= SUM_LIMIT:
            raise UserError(
                f"{layer.name}: its sums could reach {reach:g} in netx, which scales weights to "
                f"8 bits, expected below {SUM_LIMIT}"
            )


def write_hdf5(network: IntegerNetwork, path: Path | str) -> None:
    """Write an integer network as lava-dl's .net file, atomically.

    `lava.lib.dl.netx.hdf5.Network(path, input_message_bits=24, reset_interval=steps,
    reset_offset=1)` loads group `layer`: an `input` and, for each population, a `dense` with
    `weight` (N, M), `bias` (N,) and `neuron` (CUBA: `iDecay`, `vDecay`,
    `vThMant`). netx has one input and one matrix per block; the reader must connect the others:
    group `further/<layer>/<number>` has `source` (an input, or the block before), `weight`,
    `weightExp` and `delay`, in steps, of that input's stream; connect it by a Dense
    to `layers[<layer> - 1].neuron.a_in`. Group `input_grids` has the real value of one unit of each
    input; `layer/<i>/name` is the population's name, and that of the main input for i = 0. The
    sources "constant 1" and "first step" of `hardware.fixed_point.lava_form` are 1 at every step,
    and at the first step of a sample.

    Raises:
        UserError: netx cannot express a population; the message names it and the reason.
    """
    path = Path(path)
    layers = netx_layers(network)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with h5py.File(temporary, "w") as file:
            _write_input(file, layers[0].main, layers[0].weight.shape[1])
            for i, layer in enumerate(layers, start=1):
                _write_layer(file, i, layer)
            _put(file, {f"input_grids/{n}": float(g) for n, g in network.input_grids.items()})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _put(file: h5py.File, values: dict[str, object]) -> None:
    # Without time stamps the same network gives the same bytes.
    for name, value in values.items():
        file.create_dataset(name, data=value, track_times=False)


def _write_input(file: h5py.File, name: str, width: int) -> None:
    values = {"type": np.array([b"input"], "S10"), "shape": np.array([width]), "name": name}
    _put(file, {f"layer/0/{key}": value for key, value in values.items()})


def _write_layer(file: h5py.File, i: int, layer: NetxLayer) -> None:
    neuron = {
        "type": np.array([b"CUBA"], "S10"),
        "iDecay": layer.du + 1,  # netx takes 1 off
        "vDecay": layer.dv,
        "vThMant": layer.vth,
        "refDelay": 1,
        "gradedSpike": False,
    }
    values = {
        "type": np.array([b"dense"], "S10"),
        "name": layer.name,
        "shape": np.array([len(layer.weight)]),
        "weight": layer.weight,
        "bias": layer.bias_mant,
    } | {f"neuron/{key}": value for key, value in neuron.items()}
    _put(file, {f"layer/{i}/{key}": value for key, value in values.items()})
    for j, x in enumerate(layer.further):
        delay = 0 if x.source == layer.main else i - 1
        more = {"source": x.source, "weight": x.weight, "weightExp": x.weight_exp, "delay": delay}
        _put(file, {f"further/{i}/{j}/{key}": value for key, value in more.items()})
