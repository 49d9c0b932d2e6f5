"""The agreement of the simulators, from the parity_*.json files of a run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from export.files import PARITY, graph_path
from hardware.compare import LayerComparison
from hardware.manifest import PROBE, sha256
from mdft.errors import UserError, first_problem
from mdft.lif.grid import Arithmetic
from mdft.model.mdft import PATHWAYS

RUNTIMES = {None: "", "inline": "inline", "process": "Lava's own"}
REPORTED = "–"  # the level of comparisons that may differ
# level at which equality is required, sides, backend, reference
LADDER = (
    ("1", "PyTorch ↔ NumPy float", "reference_float", "probe"),
    ("1", "PyTorch ↔ Lava float", "lava_float", "probe"),
    ("2", "NumPy integer ↔ Lava fixed point", "lava_fixed", "reference_int"),
    ("2", "PyTorch ↔ Lava fixed point", "lava_fixed", "probe"),
)


@dataclass(frozen=True)
class Level0:
    """``parity_level_0.json``: layers by pathway, and the digests of graph and probe.

    ``arithmetic`` is that of the probe's spikes; it must be the one of nirtorch.
    """

    sha256: dict[str, str]
    arithmetic: Arithmetic
    pathways: dict[str, list[LayerComparison]]


@dataclass(frozen=True)
class Backend:
    """``parity_<backend>_<pathway>.json``, from ``hardware.run --json``."""

    backend: str
    runtime: str | None
    graph_sha256: str
    probe_sha256: str
    must: dict[str, list[LayerComparison]]
    reported: Annotated[dict[str, list[LayerComparison]], Field(alias="shown")]
    failed: bool


Report = TypeVar("Report", Level0, Backend)


@dataclass(frozen=True)
class Agreement:
    """One comparison over all pathways that have a file.

    Attributes:
        level: the level of parity, or a dash if the comparison is only reported.
        sides: the two sides of the comparison.
        pathways: the pathways that have a file.
        runtime: the runtime of Lava, else empty.
        compared: the number of spikes compared.
        differing: the number of spikes that differ.
        membranes: the number of membranes that differ, if they were compared.
        failed: whether equality is required and there are differences.
    """

    level: str
    sides: str
    pathways: tuple[str, ...]
    runtime: str
    compared: int
    differing: int
    membranes: int
    failed: bool


def agreements(folder: Path) -> list[Agreement]:
    """Return all comparisons in the ``parity_*.json`` files of a run's folder.

    Args:
        folder: the folder of a run after ``export.to_nir`` and ``hardware.run --json``.

    Raises:
        UserError: a file is malformed, or its graph or probe is not that of the folder.
    """
    rows = [_level_0(folder)] if (folder / PARITY).exists() else []
    for level, sides, backend, other in LADDER:
        layers, runtimes, failed, required = {}, set(), False, True
        for pathway in PATHWAYS:
            path = folder / f"parity_{backend}_{pathway}.json"
            if path.exists():
                report = _backend(path, pathway, backend)
                required &= other not in report.reported
                layers[pathway] = (report.must | report.reported).get(other, [])
                runtimes.add(RUNTIMES.get(report.runtime, report.runtime))
                failed |= report.failed
                _check_not_empty(path, layers[pathway])
        if layers:
            rows.append(
                _agreement(level, sides, layers, ", ".join(sorted(runtimes)), required, failed)
            )
    return rows


def _agreement(
    level: str,
    sides: str,
    layers: dict[str, list[LayerComparison]],
    runtime: str = "",
    required: bool = True,
    reported_failure: bool = False,
) -> Agreement:
    flat = [x for found in layers.values() for x in found]
    compared, differing = sum(x.compared for x in flat), sum(x.differing for x in flat)
    membranes = sum(x.membranes_differing or 0 for x in flat)
    failed = required and bool(reported_failure or differing or membranes)
    level = level if required else REPORTED
    return Agreement(level, sides, tuple(layers), runtime, compared, differing, membranes, failed)


def _level_0(folder: Path) -> Agreement:
    path = folder / PARITY
    report = _read(path, Level0)
    for pathway, layers in report.pathways.items():
        graph = graph_path(folder, pathway)
        _check_same(path, graph, report.sha256.get(graph.name))
        _check_not_empty(path, layers)
    _check_same(path, folder / PROBE, report.sha256.get(PROBE))
    _check_not_empty(path, list(report.pathways))
    required = report.arithmetic == "float"
    return _agreement("0", "PyTorch ↔ .nir in nirtorch", report.pathways, required=required)


def _backend(path: Path, pathway: str, backend: str) -> Backend:
    report = _read(path, Backend)
    if report.backend != backend:
        raise UserError(f"{path}: is of {report.backend}, expected {backend}; {_again(path)}")
    _check_same(path, graph_path(path.parent, pathway), report.graph_sha256)
    _check_same(path, path.parent / PROBE, report.probe_sha256)
    return report


def _read(path: Path, kind: type[Report]) -> Report:
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except ValidationError as error:
        where, problem = first_problem(error)
        text = f"{path}: field {where or '(whole file)'}: {problem}; {_again(path)}"
        raise UserError(text) from error


def _check_same(path: Path, file: Path, expected: str | None) -> None:
    if not file.is_file() or sha256(file) != expected:
        raise UserError(
            f"{path}: is about another {file.name} than the one beside it; run it again"
        )


def _again(path: Path) -> str:
    command = "export.to_nir" if path.name == PARITY else "hardware.run"
    return f"run it again (python -m {command})"


def _check_not_empty(path: Path, found: list) -> None:
    if not found:
        raise UserError(f"{path}: compares no spikes; {_again(path)}")
