"""Write an export (graphs, probe and manifest), read it back, and run it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from export.contract import OUTPUT, Contract, PathwayContract
from export.files import PARITY, Form, RConvention, graph_path, npz_bytes, write_json
from export.forms import Exported
from export.graph import write_graph
from export.probe import probe_arrays
from export.verify import Parity, verify
from hardware.graph.network import DT
from hardware.manifest import MANIFEST, PROBE, sha256
from mdft.files import write_atomic


def write_export(
    pathways: dict[str, Exported],
    out: Path,
    *,
    form: Form,
    r_convention: RConvention,
) -> Parity:
    """Write graphs, probe and manifest, read all back, and run the graphs.

    Args:
        pathways: the exported pathways, by name.
        out: the folder; created if missing.
        form: the form of the graphs.
        r_convention: the convention of the LIF's r.

    Returns:
        The comparison of every layer in each simulator.
    """
    arrays: dict[str, np.ndarray] = {}
    for pathway, exported in pathways.items():
        arrays |= probe_arrays(pathway, exported)
    out.mkdir(parents=True, exist_ok=True)
    contracts = {}
    for pathway, exported in pathways.items():
        path = graph_path(out, pathway)
        write_graph(exported.graph, path)
        contracts[pathway] = PathwayContract(path.name, exported.given, OUTPUT, exported.layers)
    write_atomic(out / PROBE, npz_bytes(arrays))
    digests = {name: sha256(out / name) for name in (PROBE, *(c.graph for c in contracts.values()))}
    arithmetic = next(
        iter(pathways.values())
    ).arithmetic  # the same for all: they are from one configuration
    contract = Contract(form, r_convention, arithmetic, DT, digests, contracts)
    write_json(out / MANIFEST, asdict(contract))
    parity = verify(out)
    level_0 = {p: [asdict(x) for x in found[0] or []] for p, found in parity.layers.items()}
    report = {"sha256": digests, "arithmetic": arithmetic, "pathways": level_0}
    write_json(out / PARITY, report)
    return parity
