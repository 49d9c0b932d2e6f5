"""`python -m export.release RUN OUT`: collect the files of a release, and a model card."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from export.files import graph_path
from hardware.manifest import MANIFEST, PROBE
from mdft.cli import parse, run_main
from mdft.errors import UserError
from mdft.files import write_atomic

CARD = "MODEL_CARD.md"
#: Largest total size of the files, bytes.
MOST = 7_000_000


@dataclass(frozen=True)
class ReleaseConfig:
    """Copy the files of a trained, exported and simulated run, and write a model card."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder, with parity_*.json from hardware.run beside its graphs."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder of the release; created if missing, existing files are replaced."""


def main(args: list[str] | None = None) -> int:
    """Run the command."""
    config = parse(ReleaseConfig, "python -m export.release", args)
    # Imported here, so that --help and a mistyped flag do not import torch.
    from export.agreement import agreements
    from export.model_card import model_card
    from mdft.model.mdft import PATHWAYS
    from mdft.runs.folder import CONFIG, MODEL, RESULTS, read_config, read_results, run_folder
    from mdft.runs.preprocessing import PREPROCESSING

    folder = run_folder(config.run)
    graphs = [graph_path(folder, pathway).name for pathway in PATHWAYS]
    names = (CONFIG, MODEL, PREPROCESSING, RESULTS, *graphs, PROBE, MANIFEST)
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise UserError(f"{folder}: no {', '.join(missing)} there; train, then export.to_nir")
    rows = agreements(folder)
    if not rows or any(row.failed for row in rows):
        raise UserError(f"{folder}: no parity of its graphs, or a failed one; run hardware.run")
    size = sum((folder / name).stat().st_size for name in names)
    if size > MOST:
        raise UserError(
            f"{folder}: {size:,} bytes, expected at most {MOST:,}; export fewer --samples"
        )
    card = model_card(read_config(folder), read_results(folder), rows, size)
    config.out.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(folder / name, config.out / name)
    write_atomic(config.out / CARD, card.encode())
    print(f"{config.out}: {size:,} bytes and {CARD}")
    return 0


if __name__ == "__main__":
    run_main(main)
