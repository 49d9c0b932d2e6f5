"""Check with the manifest.json beside a graph that graph, probe and pathway belong together."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from mdft.errors import UserError

MANIFEST, PROBE = "manifest.json", "probe.npz"


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_manifest(
    graph: Path,
    probe: Path,
    pathway: str,
    digests: tuple[str, str],
    dt: float,
    *,
    inputs_only: bool = False,
) -> None:
    """Compare a graph and a probe with the manifest.json beside the graph, if there is one.

    A probe that holds inputs alone is the user's own, and not compared.

    Args:
        graph: the .nir file.
        probe: the .npz file, in any folder.
        pathway: the pathway that the graph is run as.
        digests: the SHA-256 of graph and probe.
        dt: seconds per step that the graph is read with.
        inputs_only: whether the probe holds no spikes and membranes.

    Raises:
        UserError: a file's SHA-256, or dt, is not that of the manifest.
    """
    path = graph.parent / MANIFEST
    if not path.is_file():
        return
    try:
        manifest = json.loads(path.read_text())
        known = manifest["sha256"]
        if inputs_only:
            compared = [(graph, digests[0], known[graph.name], graph.name)]
        else:
            name = manifest["pathways"][pathway]["graph"]
            compared = [
                (graph, digests[0], known[name], f"{name} of pathway {pathway!r}"),
                (probe, digests[1], known[PROBE], PROBE),
            ]
    except (ValueError, KeyError, TypeError) as error:
        entry = graph.name if inputs_only else f"graph and probe of pathway {pathway!r}"
        raise UserError(
            f"{path}: no entry for {entry}; run python -m export.to_nir again, or take the graph "
            "to a folder of its own"
        ) from error
    for file, found, wanted, called in compared:
        if found != wanted:
            raise UserError(
                f"{file}: its SHA-256 {found[:12]}… is not that of {called} in {path} "
                f"({str(wanted)[:12]}…); give the files of one export, or take the graph to a "
                "folder of its own"
            )
    if manifest.get("dt", dt) != dt:
        raise UserError(
            f"--dt is {dt:g}, expected {manifest['dt']}: {path} says that the graph was written "
            "for this step; give --dt, or take the graph to a folder of its own"
        )
