"""The data of a report: for the JSON file and for the page."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from hardware.compare import LayerComparison
from hardware.fixed_point.integers import IntegerNetwork
from hardware.graph.network import Network, Recording
from hardware.probe import Probe
from hardware.reporting.operations import Cost
from hardware.reporting.ranges import InputRange, LayerRange
from hardware.reporting.rounding import OutputLoss
from hardware.result import json_fields


@dataclass(frozen=True)
class BackendReport:
    """One backend; see `hardware.result.Result`.

    Attributes:
        wrapped: the number of currents that wrapped around at 24 bits; None if not counted.
        clipped: the number of membranes that were clipped at 24 bits; None if not counted.
        failed: whether a spike or membrane differs that must be equal.
    """

    backend: str
    runtime: str | None
    must: dict[str, list[LayerComparison]]
    reported: dict[str, list[LayerComparison]]
    notes: tuple[str, ...]
    wrapped: int | None
    clipped: int | None
    failed: bool

    def groups(self) -> list[tuple[str, bool, list[LayerComparison]]]:
        """Return (reference, whether equality is required, layers) for each comparison."""
        return [
            (other, required, layers)
            for group, required in ((self.must, True), (self.reported, False))
            for other, layers in group.items()
        ]


@dataclass(frozen=True)
class Report:
    """The data of a report on one graph and its probe.

    Attributes:
        graph: the file name of the graph.
        graph_sha256: its hexadecimal SHA-256.
        probe: the file name of the probe.
        probe_sha256: its hexadecimal SHA-256.
        pathway: the pathway of the probe.
        author: the origin of the probe's spikes, PyTorch or reference_float.
        arithmetic: the arithmetic of those spikes, float or loihi.
        samples: the number of samples.
        steps: the number of steps per sample.
        dt: seconds per step.
        backends: the backends in the requested order.
        layers: ranges and firing rates of the layers.
        inputs: ranges of the inputs.
        losses: what rounding to integers changes in the outputs; empty without integers.
        no_integers: the reason why the graph has no fixed-point form; None if it has one.
        cost: the cost for the probe's spikes.
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
    losses: tuple[OutputLoss, ...]
    no_integers: str | None
    cost: Cost

    @property
    def failed(self) -> bool:
        """Whether a backend failed."""
        return any(b.failed for b in self.backends)

    @property
    def first(self) -> LayerComparison | None:
        """The first layer that differs; one that must be equal takes precedence."""
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
    """The arrays that a report is made from.

    Attributes:
        network: the graph.
        probe: the inputs, spikes and membranes.
        integers: the quantised graph; None if it has no fixed-point form.
        recordings: the recordings by backend, in the requested order.
    """

    network: Network
    probe: Probe
    integers: IntegerNetwork | None
    recordings: dict[str, Recording]


def to_json(report: Report) -> dict[str, Any]:
    """Return the report's fields and the totals of its cost."""
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
    found["backends"] = [json_fields(backend) for backend in report.backends]
    found["cost"]["total"] = totals
    return found | {"failed": report.failed}


def _summed(name: str) -> bool:
    return name not in ("layer", "activation_sparsity")
