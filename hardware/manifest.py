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
    graph: Path, probe: Path, pathway: str, digests: tuple[str, str], dt: float
) -> None:
    """Compare a graph and a probe with the manifest.json beside the graph, if there is one.

    Args:
        graph: the .nir file.
        probe: the .npz file, in any folder.
        pathway: the pathway that the graph is run as.
        digests: the SHA-256 of graph and probe.
        dt: seconds per step that the graph is read with.

    Raises:
        UserError: a file's SHA-256, or dt, is not that of the manifest.
    """
    path = graph.parent / MANIFEST
    if not path.is_file():
        return
    try:
        manifest = json.loads(path.read_text())
        known, name = manifest["sha256"], manifest["pathways"][pathway]["graph"]
        expected = known[name], known[PROBE]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: no entry for graph and probe of pathway {pathway!r}; "
            "run python -m export.to_nir again"
        ) from error
    for file, found, wanted, called in (
        (graph, digests[0], expected[0], f"{name} of pathway {pathway!r}"),
        (probe, digests[1], expected[1], PROBE),
    ):
        if found != wanted:
            raise UserError(
                f"{file}: its SHA-256 {found[:12]}… is not that of {called} in {path} "
                f"({str(wanted)[:12]}…); give the files of one export"
            )
    if manifest.get("dt", dt) != dt:
        raise UserError(
            f"--dt is {dt:g}, expected {manifest['dt']}: {path} says that the graph was written "
            "for this step; give --dt, or take the graph to a folder of its own"
        )
