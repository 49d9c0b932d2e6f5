"""`python -m export.to_nir RUN`: export a trained motion branch or network as NIR graphs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from export.files import PARITY, Form, RConvention
from hardware.manifest import MANIFEST, PROBE, sha256
from mdft.cli import parse, run_main
from mdft.config.model import MotionConfig
from mdft.errors import UserError, require

if TYPE_CHECKING:
    from export.forms import Exported
    from export.verify import Parity

CHAIN = "chain"  # folder of that form's files if both forms are written


@dataclass(frozen=True)
class ExportConfig:
    """Export the motion branch of a trained run.

    Writes motion_audio.nir, motion_visual.nir, probe.npz and manifest.json. Reads each graph back,
    runs it on the probe in nirtorch with snnTorch and in NumPy, and prints the spikes that differ;
    the comparison with nirtorch is also written to parity_level_0.json.

    Of a run of `python -m mdft.motion` it writes motion.nir, probe.npz and manifest.json, and runs
    the graph on all test recordings in NumPy.

    Exit status: 0 all required spikes are equal, 1 some differ, 2 wrong usage.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder, or the checkpoint file in it."""
    out: Path | None = None
    """Folder for the files; by default the run's folder."""
    form: Literal["inputs", "chain", "both"] = "inputs"
    """inputs: events and threshold current are two Inputs. chain: one Input, for every NIR reader.
    both: inputs, and chain in a folder of that name. See docs/nir.md."""
    r_convention: RConvention = "unit-gain"
    """The LIF's r: tau/dt, or one with weights times tau/dt, for readers that ignore r."""
    samples: int | None = None
    """Number of test clips in the probe, half of them of unseen classes, or of test recordings;
    default: 8, or all if there are fewer."""


def files_table(folder: Path) -> Table:
    """Return a table of the files of an export, their sizes and beginnings of their SHA-256."""
    table = Table(title=escape(f"Files in {folder}"), title_justify="left")
    table.add_column("file")
    table.add_column("bytes", justify="right")
    table.add_column("SHA-256")
    others = (folder / n for n in ("motion.nir", PROBE, MANIFEST, PARITY))
    for path in sorted([*folder.glob("motion_*.nir"), *(p for p in others if p.is_file())]):
        table.add_row(path.name, f"{path.stat().st_size:,}", f"{sha256(path)[:12]}…")
    return table


def thresholds(motion: MotionConfig) -> tuple[float, float]:
    """Return the smallest and largest threshold that a configuration allows."""
    if motion.threshold == "fixed":
        return motion.theta_fixed, motion.theta_fixed
    return motion.theta_min, motion.theta_max


def export_run(config: ExportConfig) -> dict[Path, Parity]:
    """Load a run and export it with real test clips as the probe.

    Nothing is written unless every requested form can represent the branch.

    Returns:
        Folder → parity of its files.

    Raises:
        UserError: the run has no spiking network or too few test clips, or a form cannot represent
            its threshold.
    """
    # Imported here and below, so that --help and a mistyped flag do not import torch.
    import torch

    from export.forms import Drive, export_form
    from export.probe import pick_samples
    from export.write import write_export
    from mdft.runs.load import clips_of, load_ours

    model = load_ours(config.run)
    if not model.spiking:
        raise UserError(
            f"{config.run}: trained without a spiking network, expected --model.motion.enabled "
            "and --model.motion.network snn"
        )
    clips = clips_of(config.run)
    with torch.no_grad():
        inputs = model.motion_inputs(clips.batch(pick_samples(clips, config.samples)))
    motion, convention = model.config.motion, config.r_convention
    drives = {p: Drive(x.x_BSD, x.current_BS1, thresholds(motion)) for p, x in inputs.items()}
    made: dict[tuple[Form, Path], dict[str, Exported]] = {
        (form, folder): {
            p: export_form(form, model.branch(p), drive, convention) for p, drive in drives.items()
        }
        for form, folder in folders(config)
    }
    return {
        folder: write_export(pathways, folder, form=form, r_convention=convention)
        for (form, folder), pathways in made.items()
    }


def folders(config: ExportConfig) -> list[tuple[Form, Path]]:
    """Return the forms to write with their folders."""
    from mdft.runs.folder import run_folder

    out = run_folder(config.run) if config.out is None else config.out
    if config.form == "both":
        return [("inputs", out), ("chain", out / CHAIN)]
    return [(config.form, out)]


def export_network(config: ExportConfig) -> int:
    """Export a run of `python -m mdft.motion`; print the result and return the exit status."""
    from export.recordings import export_recordings, lines
    from mdft.runs.folder import run_folder

    for flag, value, only in (
        ("--form", config.form, "inputs"),
        ("--r-convention", config.r_convention, "unit-gain"),
    ):
        require(value == only, flag, value, f"{only} for a network for recordings")
    out = run_folder(config.run) if config.out is None else config.out
    tested = export_recordings(config.run, out, config.samples)
    console = Console(width=None if sys.stdout.isatty() else 120)
    for line in lines(tested):
        console.print(line, highlight=False, markup=False)
    console.print(files_table(out))
    return int(tested.failed)


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit status."""
    config = parse(ExportConfig, "python -m export.to_nir", args)
    from mdft.recognition.run import is_recognition

    if is_recognition(config.run):
        return export_network(config)
    from export.verify import show_parity

    exported = export_run(config)
    console = Console(width=None if sys.stdout.isatty() else 120)
    for folder, parity in exported.items():
        show_parity(parity, console)
        console.print(files_table(folder))
    return int(any(parity.failed for parity in exported.values()))


if __name__ == "__main__":
    run_main(main)
