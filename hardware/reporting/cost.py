"""The part of a report's page that is about cost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape

from hardware.reporting.fit import MOST_BITS
from hardware.reporting.operations import Cost, Traffic
from hardware.reporting.tables import BAD, section, table


def cost_sections(cost: Cost) -> list[str]:
    """Operations, energy proxy, memory and cores, traffic.

    Args:
        cost: of the graph on the probe's spikes.
    """
    return [
        section("Operations a sample", _operations(cost)),
        section("Energy, modelled", _energy(cost)),
        section("Memory and cores", _fit(cost)),
        section("Traffic a step", _traffic(cost)),
    ]


def _operations(cost: Cost) -> str:
    rows = [
        (
            layer.layer,
            *_counts(
                partial(getattr, layer),
                layer.zero_weights / layer.synapses,
                layer.activation_sparsity,
            ),
        )
        for layer in cost.layers
    ]
    rows.append(("all", *_counts(cost.total, cost.connection_sparsity, cost.activation_sparsity)))
    heads = (
        "layer",
        "neurons",
        "synapses",
        "zero weights",
        "effective ACs",
        "effective MACs",
        "dense MACs",
        "activation sparsity",
        "membrane updates",
    )
    return table(heads, rows) + (
        '<p class="note">Counted on the probe, a mean over its samples of '
        f"{cost.steps} steps, in NeuroBench's definitions: a spike costs one addition (AC) for "
        "every weight other than zero behind it, a graded input one multiplication (MAC). Dense: "
        "the same layers if every value were multiplied in every step. Latency: "
        f"{cost.steps} steps and {cost.depth} layers of one step of delay are "
        f"{cost.latency_steps} steps.</p>\n"
    )


def _counts(
    of: Callable[[str], float], connection_sparsity: float, activation_sparsity: float
) -> tuple[str, ...]:
    return (
        f"{of('neurons'):,}",
        f"{of('synapses'):,}",
        f"{connection_sparsity:.2%}",
        f"{of('effective_acs'):,.0f}",
        f"{of('effective_macs'):,.0f}",
        f"{of('dense_macs'):,}",
        f"{activation_sparsity:.2%}",
        f"{of('membrane_updates'):,.0f}",
    )


def _energy(cost: Cost) -> str:
    model = cost.energy
    return (
        f"<p>{cost.modelled_nj:,.1f} nJ a sample for the operations; "
        f"{cost.modelled_dense_nj:,.1f} nJ for the dense layers.</p>\n"
        f'<p class="note">Modelled, not measured, and not Loihi\'s energy: {model.ac:g} pJ an AC '
        f"and {model.mac:g} pJ a MAC ({escape(model.source)}). Memory, leakage and routing are "
        "left out.</p>\n"
    )


def _fit(cost: Cost) -> str:
    limits = cost.limits
    rows = [
        (
            x.layer,
            f"{x.neurons:,}",
            f"{x.weight_bits}",
            _kib(x.synapse_bits),
            _kib(x.state_bits),
            f"{x.axons_in:,}",
            f"{x.axons_out:,}",
            f"{x.cores:,}" if x.fits else (f"{x.cores:,}, axons exceed the limit", BAD),
        )
        for x in cost.fit
    ]
    heads = (
        "layer",
        "neurons",
        "bits a weight",
        "synapses, KiB",
        "state, KiB",
        "axons into a core",
        "axons out of it",
        "cores",
    )
    return table(heads, rows) + (
        f"<p>{cost.cores} cores of the {limits.cores} of a chip.</p>\n"
        f'<p class="note">A core is taken to hold {limits.neurons:,} neurons (Intel, Loihi 2 '
        f"technology brief, 2021), {_kib(limits.synapse_bits)} KiB of synapses and "
        f"{limits.axons:,} axons either way (nengo-loihi's limits of Loihi 1; Loihi 2 shares its "
        "memory freely and none is published). Cores of a layer: the larger of what its neurons "
        "and its synapses need, zeros too. The bits of a weight are those of the layer's integers; "
        f"{MOST_BITS} for a graph that has none. An estimate; no compiler was asked.</p>\n"
    )


def _kib(bits: int) -> str:
    return f"{bits / 8192:,.1f}"


def _traffic(cost: Cost) -> str:
    rows = [
        (
            x.source,
            f"{x.channels:,}",
            f"{x.messages:,.2f}",
            *_payload(x),
            f"{x.layers}",
        )
        for x in cost.traffic
    ]
    heads = ("source", "channels", "messages", "payload bits", "bits in all", "layers reached")
    return table(heads, rows) + (
        '<p class="note">A message is a value other than zero; its address is not counted.</p>\n'
    )


def _payload(x: Traffic) -> tuple[str, str]:
    """Payload of a message, and of all messages."""
    if x.payload_bits is None:
        return "membrane", "–"
    bits = "spike" if x.payload_bits == 0 else f"{x.payload_bits}"
    return bits, f"{x.messages * x.payload_bits:,.1f}"
