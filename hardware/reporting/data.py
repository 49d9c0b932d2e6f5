"""What a report says, as data: the JSON file, and what the page is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from hardware.compare import LayerComparison
from hardware.fixed_point.integers import IntegerNetwork
from hardware.graph.network import Network, Recording
from hardware.probe import Probe
from hardware.reporting.operations import Cost
from hardware.reporting.ranges import InputRange, LayerRange


@dataclass(frozen=True)
class BackendReport:
    """One backend; see `hardware.result.Result`.

    Attributes:
        wrapped: currents that wrapped around at 24 bits; None where they are not counted.
        clipped: membranes that were clipped at 24 bits; None likewise.
        failed: a spike or membrane differs that must not.
    """

    backend: str
    runtime: str | None
    must: dict[str, list[LayerComparison]]
    shown: dict[str, list[LayerComparison]]
    notes: tuple[str, ...]
    wrapped: int | None
    clipped: int | None
    failed: bool

    def groups(self) -> list[tuple[str, bool, list[LayerComparison]]]:
        """(what it is compared with, whether it must be equal, layers)."""
        return [
            (other, required, layers)
            for group, required in ((self.must, True), (self.shown, False))
            for other, layers in group.items()
        ]


@dataclass(frozen=True)
class Report:
    """Everything that a report says about one graph and its probe.

    Attributes:
        graph: file name.
        graph_sha256: hexadecimal.
        probe: file name.
        probe_sha256: hexadecimal.
        pathway: the part of the probe.
        author: whose spikes the others are compared with, PyTorch or reference_float.
        arithmetic: that they were computed in, float or loihi.
        samples: of the probe.
        steps: of a sample.
        dt: seconds a step.
        backends: in the order asked for.
        layers: ranges and rates.
        inputs: of the graph.
        no_integers: why the graph has no fixed-point form; None if it has.
        cost: on the probe's own spikes.
    """

    graph: str
    graph_sha256: str
    probe: str
    probe_sha256: str
    pathway: str
    author: str
    arithmetic: str
    samples: int
    steps: int
    dt: float
    backends: tuple[BackendReport, ...]
    layers: tuple[LayerRange, ...]
    inputs: tuple[InputRange, ...]
    no_integers: str | None
    cost: Cost

    @property
    def failed(self) -> bool:
        """Whether a backend failed."""
        return any(b.failed for b in self.backends)

    @property
    def first(self) -> LayerComparison | None:
        """Where to look: the first layer that differs, one that must not before others."""
        found = [
            (not required, layer)
            for b in self.backends
            for _, required, layers in b.groups()
            for layer in layers
            if layer.first is not None
        ]
        return min(found, key=lambda x: x[0])[1] if found else None


@dataclass(frozen=True)
class Material:
    """What a report is made from.

    Attributes:
        network: the graph.
        probe: its inputs, spikes and membranes.
        integers: the graph in integers, None if it has no such form.
        recordings: by backend, in the order asked for.
    """

    network: Network
    probe: Probe
    integers: IntegerNetwork | None
    recordings: dict[str, Recording]


def to_json(report: Report) -> dict[str, Any]:
    """The report's fields, and the totals of its cost."""
    cost = report.cost
    totals = {f.name: cost.total(f.name) for f in fields(cost.layers[0]) if _summed(f.name)}
    names = (
        "activation_sparsity",
        "connection_sparsity",
        "latency_steps",
        "cores",
        "modelled_nj",
        "modelled_dense_nj",
    )
    totals |= {name: getattr(cost, name) for name in names}
    found = asdict(report)
    found["cost"]["total"] = totals
    return found | {"failed": report.failed}


def _summed(name: str) -> bool:
    return name not in ("layer", "activation_sparsity")
