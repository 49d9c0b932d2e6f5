"""`python -m export.check OUT`: export a tiny random branch; no run is needed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from mdft.cli import parse, run_main

if TYPE_CHECKING:
    from export.forms import Drive
    from mdft.model.motion import MotionBranch

PATHWAY = "visual"
_WIDTH, _BATCH, _STEPS = 16, 2, 8
_THETAS = (0.75, 1.25)


@dataclass(frozen=True)
class CheckConfig:
    """Export a tiny random motion branch and run its files, as `python -m export.to_nir` does.

    Shows whether the libraries of the export pipeline work here; `python -m mdft.doctor` calls it.
    Writes motion_visual.nir, probe.npz and manifest.json.
    Exit status: 0 all required spikes are equal, 1 some differ, 2 wrong usage.
    """

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder for the files; created if missing."""


def tiny_branch() -> tuple[MotionBranch, Drive]:
    """Return a branch of two layers that fires, and its inputs: events and a varying threshold."""
    # Imported here and below, so that --help and a mistyped flag do not import torch.
    import torch

    from export.forms import Drive
    from mdft.model.motion import MotionBranch

    torch.manual_seed(0)
    # The plain loop gives the spikes of the compiled kernels, which take a second to load.
    branch = MotionBranch(_WIDTH, _WIDTH, 2, fused=False).eval()
    active = torch.rand(_BATCH, _STEPS, _WIDTH) < 0.5
    x_BSF: torch.Tensor = active * torch.randint(1, 40, active.shape) / 16
    low, high = _THETAS
    theta_BS1 = low + (high - low) * torch.rand(_BATCH, _STEPS, 1)
    with torch.no_grad():
        for linear in branch.linears:
            linear.bias.fill_(0.25)  # type: ignore[operator, union-attr]
        return branch, Drive(x_BSF, branch.threshold_current(theta_BS1), _THETAS)


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit status."""
    config = parse(CheckConfig, "python -m export.check", args)
    from export.forms import export_form
    from export.verify import show_parity
    from export.write import write_export

    branch, drive = tiny_branch()
    made = {PATHWAY: export_form("inputs", branch, drive, "unit-gain")}
    parity = write_export(made, config.out, form="inputs", r_convention="unit-gain")
    show_parity(parity, Console(width=None if sys.stdout.isatty() else 120))
    return int(parity.failed)


if __name__ == "__main__":
    run_main(main)
