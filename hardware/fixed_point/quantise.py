"""Quantise real parameters to Loihi's integers: exact if they lie on power-of-two grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from hardware.fixed_point.integers import (
    BIAS_LIMIT,
    EXPONENT_LIMIT,
    MAGNITUDE_LIMIT,
    STATE_SCALE,
    VTH_LIMIT,
    WEIGHT_LIMIT,
    IntegerNetwork,
    IntegerPopulation,
    IntegerSynapses,
)
from hardware.fixed_point.lava_form import lava_form
from hardware.fixed_point.scales import (
    ON_LATTICE,
    by_sign,
    choose,
    finer,
    notes_of,
    round_constant,
    threshold,
)
from hardware.graph.matrices import mapped, values
from hardware.graph.network import CONSTANTS, Network, Population, Synapses
from mdft.errors import UserError

INPUT_LIMIT = (1 << 15) - 1  # with finer inputs a threshold needs more than 17 bits
FINEST_EXPONENT = 24  # finer grids than 2**-24 are not tried
WIDEST = 100  # a grid of 2**±100: products with it stay finite
TINY = 1e-100
THRESHOLD_OFF_GRID = 2.0**-8  # relative; rounding by less changes no spike on the grid
LOW_GAIN = 2.0**-7  # a threshold of as many bits more than the weights is out of reach


def grid_of(values: np.ndarray, limit: int) -> float | None:
    """Return the largest power of two s with values = k·s, k integers, |k| <= limit; else None."""
    if not values.any():
        return 1.0
    for exponent in range(-FINEST_EXPONENT, FINEST_EXPONENT + 1):
        k = values * 2.0**exponent
        if np.abs(k).max() > limit:
            return None
        if (k == np.round(k)).all() and k.any():  # tiny values underflow to 0
            return 2.0**-exponent
    return None


def nearest_grid(values: np.ndarray, limit: int) -> float:
    """Return the smallest power of two s with |values| <= limit·s, for values on no exact grid.

    It is 1 for values below 1e-100, which thereby become 0.
    """
    peak = float(np.abs(values).max())
    return float(2.0 ** np.ceil(np.log2(peak / limit))) if peak > TINY else 1.0


def check_grid(name: str, grid: float) -> None:
    """Check that a grid is a power of two, from 2**-100 to 2**100.

    Raises:
        UserError: it is not; the message has the `name` of the grid.
    """
    if not (2.0**-WIDEST <= grid <= 2.0**WIDEST and np.log2(grid) % 1 == 0):
        raise UserError(
            f"{name} is {grid:g}, expected a power of two, from 2**-{WIDEST} to 2**{WIDEST}"
        )


def input_grids(inputs: dict[str, np.ndarray]) -> dict[str, float]:
    """Return each input's grid: of 16 bits if all values lie on it, else one of 255 units."""
    return {
        name: grid_of(x, INPUT_LIMIT) or nearest_grid(x, MAGNITUDE_LIMIT)
        for name, x in inputs.items()
    }


def input_peaks(inputs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the largest magnitude of each input."""
    return {name: float(np.abs(x).max(initial=0.0)) for name, x in inputs.items()}


def input_notes(inputs: dict[str, np.ndarray], grids: dict[str, float]) -> list[str]:
    """Describe how rounding to the grids changes the inputs; empty if all lie on their grids."""
    errors = {
        n: float(np.abs(x - np.round(x / grids[n]) * grids[n]).max()) for n, x in inputs.items()
    }
    return [
        f"input {n!r} rounded to multiples of {grids[n]:g}, by up to {error:.3g}"
        for n, error in errors.items()
        if error
    ]


def quantise(
    network: Network,
    grids: Mapping[str, float],
    peaks: Mapping[str, float] | None = None,
    *,
    exponents: bool = True,
) -> IntegerNetwork:
    """Quantise a network to Loihi's integers.

    A population whose parameters all lie on grids of powers of two becomes exact. With w = k·s,
    inputs x = n·g (g = 1 for spikes) and e = 2 where the signs of k are mixed, else 1 (mixed signs
    that need nine bits are two synapses of one sign, `split_signs`): its unit is the smallest
    s·g/e of its synapses that are not all zero, weight = e·k, weight_exp = log2(s·g / (e·unit)),
    both refined (2·k, exponent − 1) while the exponent is above 7 and k below 8 bits;
    vth = floor(v_threshold / unit) (so that v > vth and v > v_threshold agree on the grid),
    dv = 4096·decay, bias_mant << bias_exp = 64·bias / unit.

    For any other population `hardware.fixed_point.scales.choose` chooses the unit, a real number;
    `notes` has a line about everything that was rounded.

    Args:
        network: a lowered graph; it is rewritten by `hardware.fixed_point.lava_form` first.
        grids: the power-of-two grid of each input, see `input_grids`.
        peaks: the largest magnitude of each input, see `input_peaks`; without it 255 units of its
            grid. It has no effect on an exact population.
        exponents: whether a population that is not exact may use weight exponents to make its unit
            finer; netx has none.

    Raises:
        UserError: Lava's LIF cannot express a population, or its values leave a range that Lava
            does not check; the message names the population.
    """
    notes: list[str] = []
    form = lava_form(network)
    made = [
        _population(p, grids, peaks or {}, exponents, _rate(before, network.dt), notes)
        for before, p in zip(network.populations, form.populations, strict=True)
    ]
    return IntegerNetwork(network, tuple(made), dict(grids), tuple(notes))


def _rate(p: Population, dt: float) -> str:
    """Return the cause and the remedy if dt makes a population's inputs small; else ""."""
    factor = p.input_gain.min()
    if factor > LOW_GAIN:
        return ""
    integrates = p.current is None and not p.decay.any()
    what = "dt·r" if integrates else "dt/tau·r"
    remedy = "r is per step, give --dt 1" if integrates else "this is not its step, give it by --dt"
    return f"; with dt = {dt:g} s its input is multiplied by {what} = {factor:g}: if {remedy}"


def _population(
    p: Population,
    grids: Mapping[str, float],
    peaks: Mapping[str, float],
    exponents: bool,
    rate: str,
    notes: list[str],
) -> IntegerPopulation:
    every = [
        (s, grid_of(values(s.weight), MAGNITUDE_LIMIT))  # mixed signs are below 128, or split
        for synapses in p.synapses
        for s in split_signs(synapses)
    ]
    sent = [(s, step) for s, step in every if s.source not in CONSTANTS]
    said: list[str] = []
    if all(step is not None for _, step in every):
        unit, synapses = _on_grids(every, grids, _needed_unit(p))
        found = _with(p, unit, synapses, False, rate, said)
        if said and exponents:  # another constant is rounded: it loses less in a finer unit
            said = []
            unit, synapses = _halved(unit, synapses, finer(p, unit, grids, peaks))
            found = _with(p, unit, synapses, False, rate, said)
    elif all(step is not None for _, step in sent) and any(values(s.weight).any() for s, _ in sent):
        unit, synapses = _on_grids(sent, grids, _needed_unit(p))
        if exponents:
            unit, synapses = _halved(unit, synapses, finer(p, unit, grids, peaks))
        for s in p.synapses:
            if s.source in CONSTANTS:
                rounded, lost = round_constant(s, unit)
                synapses += rounded
                said += notes_of(lost)
        found = _with(p, unit, synapses, False, rate, said)
    else:
        scale = choose(p, grids, peaks, exponents)
        said += scale.notes
        found = _with(p, scale.unit, scale.synapses, True, rate, said)
    notes += said
    return found


def _on_grids(
    exact: Sequence[tuple[Synapses, float | None]], grids: Mapping[str, float], needed: float
) -> tuple[float, tuple[IntegerSynapses, ...]]:
    """Return the unit of weights that are multiples of the given steps, and their integers."""
    scaled = []
    for s, step in exact:
        assert step is not None
        k = mapped(s.weight, partial(_units, step))
        even = 2 if (values(k) > 0).any() and (values(k) < 0).any() else 1
        scaled.append((s, k * even, step * grids.get(s.source, 1.0) / even, WEIGHT_LIMIT * even))
    unit = min((one for _, k, one, _ in scaled if values(k).any()), default=needed)
    synapses = []
    for s, k, one, limit in scaled:
        exponent = 0
        if values(k).any():
            k, exponent = _shift(k, round(np.log2(one / unit)), limit, s.nodes)
        synapses.append(IntegerSynapses(s.source, k, exponent, s.source in grids, s.delay))
    return unit, tuple(synapses)


def _halved(
    unit: float, synapses: tuple[IntegerSynapses, ...], times: int
) -> tuple[float, tuple[IntegerSynapses, ...]]:
    """Halve the unit as often as the weights and exponents of 8 and 3 bits can follow."""
    for s in synapses:
        peak = int(np.abs(values(s.weight)).max(initial=0))
        if peak:
            left = (WEIGHT_LIMIT * 2 // peak).bit_length() - 1
            times = min(times, EXPONENT_LIMIT - s.weight_exp + left)
    finer_synapses = []
    for s in synapses:
        k, exponent = s.weight, s.weight_exp
        if values(k).any():
            k, exponent = _shift(k, exponent + times, 2 * WEIGHT_LIMIT, s.source)
        finer_synapses.append(replace(s, weight=k, weight_exp=exponent))
    return unit / 2**times, tuple(finer_synapses)


def _with(
    p: Population,
    unit: float,
    synapses: tuple[IntegerSynapses, ...],
    rounded: bool,
    rate: str,
    notes: list[str],
) -> IntegerPopulation:
    """Return the population with this unit, and add what its other constants lose to the notes."""
    bias_mant, bias_exp = _bias(p, unit, notes)
    return IntegerPopulation(
        p.name,
        synapses,
        bias_mant,
        bias_exp,
        _decay(p, notes),
        _threshold(p, unit, rounded, notes, rate) if p.fires else VTH_LIMIT,
        unit,
        4095 if p.current is None else _current_decay(p.name, p.current.decay, notes),
        p.fires,
        p.subtracts,
    )


def _units(step: float, weights: np.ndarray) -> np.ndarray:
    return np.round(weights / step).astype(np.int64)


def _one_or_all(numbers: np.ndarray) -> Any:
    """Return an int if all numbers are equal, else the array, int64."""
    whole = np.atleast_1d(numbers).astype(np.int64)
    return int(whole[0]) if (whole == whole[0]).all() else whole


def split_signs(s: Synapses) -> tuple[Synapses, ...]:
    """Split positive and negative weights if they fit into 8 bits only that way.

    On Loihi, weights of one sign have magnitudes of 8 bits, those of mixed signs of 7 bits. The
    number of synapses stays the same.
    """
    w = values(s.weight)
    if grid_of(w, WEIGHT_LIMIT) or not grid_of(w, MAGNITUDE_LIMIT):
        return (s,)
    return by_sign(s)


def _needed_unit(p: Population) -> float:
    """Return the smallest power of two that can be the unit of threshold and bias."""
    bias = np.abs(p.bias).max() * STATE_SCALE / (BIAS_LIMIT << EXPONENT_LIMIT)
    needed = max(p.v_threshold.max() / VTH_LIMIT if p.fires else 0.0, bias)
    return float(2.0 ** np.ceil(np.log2(needed))) if needed > 0 else 1.0


def _shift(k: np.ndarray, exponent: int, limit: int, nodes: str) -> tuple[np.ndarray, int]:
    """Return the same weights k << exponent with an exponent of at most 7 and |k| <= limit."""
    while exponent > EXPONENT_LIMIT and 2 * np.abs(values(k)).max() <= limit:
        k, exponent = 2 * k, exponent - 1
    if exponent > EXPONENT_LIMIT:
        raise UserError(f"{nodes}: needs the weight exponent {exponent}, at most {EXPONENT_LIMIT}")
    return k, exponent


def _decay(p: Population, notes: list[str]) -> int | np.ndarray:
    exact = p.decay * 4096
    dv = np.round(exact)
    if bad := np.flatnonzero((dv < 0) | (dv > 4095)).tolist():
        i = bad[0]
        raise UserError(f"{p.name}: decay {p.decay[i]:g} is {dv[i]:.0f}/4096, at most 4095/4096")
    _note_decay(p.name, "decay", p.decay, dv, notes)
    return _one_or_all(dv)


def _current_decay(name: str, decay: np.ndarray | float, notes: list[str]) -> int | np.ndarray:
    """Return du: the current of Lava's fixed point decays by (du + 1)/4096 per step."""
    decay = np.atleast_1d(decay)
    units = np.round(decay * 4096)
    if bad := np.flatnonzero((units < 1) | (units > 4096)).tolist():
        i = bad[0]
        raise UserError(
            f"{name}: decay {decay[i]:g} of the current is {units[i]:.0f}/4096, at least 1/4096"
        )
    _note_decay(name, "decay of the current", decay, units, notes)
    return _one_or_all(units - 1)


def _note_decay(
    name: str, what: str, decay: np.ndarray, units: np.ndarray, notes: list[str]
) -> None:
    error = np.abs(decay * 4096 - units)
    if not error.any():
        return
    if (decay == decay[0]).all():
        of = what.removeprefix("decay")
        notes.append(f"{name}: decay {decay[0]:.6g}{of} rounded to {units[0]:.0f}/4096")
    else:
        worst = error.max() / 4096
        notes.append(f"{name}: {what} rounded to multiples of 1/4096, by up to {worst:.3g}")


def _threshold(
    p: Population, unit: float, rounded: bool, notes: list[str], rate: str
) -> int | np.ndarray:
    vth = threshold(p.v_threshold, unit) if rounded else np.floor(p.v_threshold / unit)
    if bad := np.flatnonzero((vth <= 0) | (vth > VTH_LIMIT)).tolist():
        i = bad[0]
        raise UserError(
            f"{p.name}: its threshold is {p.v_threshold[i]:g} above v_reset, {vth[i]:.7g} units of "
            f"{unit:g}, expected 1 to {VTH_LIMIT} (17 bits)" + (rate if vth[i] else "")
        )
    lost = p.v_threshold - vth * unit
    if (lost > p.v_threshold * THRESHOLD_OFF_GRID).any():
        i = int(lost.argmax())
        notes.append(
            f"{p.name}: threshold {p.v_threshold[i]:g} rounded down to {vth[i] * unit:g}"
            + ("" if (p.v_threshold == p.v_threshold[0]).all() else ", others by less")
        )
    return _one_or_all(vth)


def _bias(p: Population, unit: float, notes: list[str]) -> tuple[np.ndarray, int]:
    target = p.bias * STATE_SCALE / unit
    for exponent in range(EXPONENT_LIMIT, -1, -1):
        mant = target / 2**exponent
        if (mant == np.round(mant)).all() and np.abs(mant).max() <= BIAS_LIMIT:
            return mant.astype(np.int64), exponent
    needed = max(0, int(np.ceil(np.log2(max(np.abs(target).max() / BIAS_LIMIT, 1.0)))))
    if needed > EXPONENT_LIMIT:
        raise UserError(
            f"{p.name}: bias {np.abs(p.bias).max():g} is {np.abs(target).max():g} "
            f"membrane units, expected at most {BIAS_LIMIT << EXPONENT_LIMIT}"
        )
    mant = np.round(target / 2**needed)
    error = np.abs(mant * 2**needed - target).max()
    if error > ON_LATTICE:
        notes.append(f"{p.name}: bias rounded by up to {error * unit / STATE_SCALE:.3g}")
    return mant.astype(np.int64), needed
