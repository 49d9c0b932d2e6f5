"""`python -m export.figures RUN CLIP --out docs/figures`: the figures of the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from export.files import graph_path
from mdft.cli import parse, run_main
from mdft.errors import UserError
from mdft.files import write_atomic

if TYPE_CHECKING:
    from mdft.inference.explain import Explanation

#: File name → beginning of the title of the report's figure in it.
REPORTED = {"parity.svg": "Membranes", "operations.svg": "Operations"}


@dataclass(frozen=True)
class FiguresConfig:
    """Draw the architecture, the motion branch for one clip, parity and cost."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The folder of a run that was exported by `python -m export.to_nir`."""
    clip: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CLIP")]
    """A video file."""
    out: Path = Path("docs/figures")
    """Folder of the figures; created if missing."""
    pathway: str = "visual"
    """The pathway: audio or visual."""
    backends: tuple[str, ...] = ("reference_float", "lava_fixed")
    """Two backends whose membranes are compared."""


def main(args: list[str] | None = None) -> int:
    """Run the command."""
    config = parse(FiguresConfig, "python -m export.figures", args)
    # Imported here and below, so that --help and a mistyped flag do not import torch.
    from export.figure_architecture import architecture
    from export.figure_motion import draw_motion
    from hardware.manifest import PROBE
    from hardware.report import ReportConfig, build
    from hardware.reporting.figures import figures
    from mdft.experiments.drawing import write_drawing
    from mdft.runs.folder import run_folder

    folder = run_folder(config.run)
    graph = graph_path(folder, config.pathway)
    if not graph.exists():
        raise UserError(f"{graph}: no such file; make it with `python -m export.to_nir {folder}`")
    report, material = build(ReportConfig(graph, folder / PROBE, backends=config.backends))
    page = explained(folder, config.clip)
    drawn = {figure.title: figure.svg for figure in figures(report, material)}
    config.out.mkdir(parents=True, exist_ok=True)
    write_atomic(config.out / "architecture.svg", architecture().encode())
    write_drawing(
        config.out / "motion.png", (9, 7.2), lambda f: draw_motion(f, page, config.pathway)
    )
    for name, title in REPORTED.items():
        found = next(svg for key, svg in drawn.items() if key.startswith(title))
        write_atomic(config.out / name, found)
    for name in ("architecture.svg", "motion.png", *REPORTED):
        print(config.out / name)
    return 0


def explained(run: Path, clip: Path) -> Explanation:
    """Classify a clip with a trained run, among the classes of its test, and record the steps.

    Args:
        run: the folder of the run.
        clip: a video file.

    Raises:
        UserError: the clip cannot be read, or the run has no spiking motion branch.
    """
    from mdft.inference.classifier import load
    from mdft.inference.explain import explain

    classifier = load(run)
    choice = classifier.candidates()
    found = classifier.read(clip, keep_footage=True)
    return explain(classifier, found, choice, classifier.predict(found, choice))


if __name__ == "__main__":
    run_main(main)
