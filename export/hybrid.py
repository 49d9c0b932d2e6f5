"""`python -m export.hybrid RUN --backend NAME`: test with the motion branch in a simulator."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro
from rich.console import Console

from hardware.backends import BACKENDS, find_backend
from hardware.result import check_targets
from mdft import gzsl
from mdft.cli import parse, run_main
from mdft.data.stages import STAGES
from mdft.errors import UserError, require
from mdft.files import write_atomic

if TYPE_CHECKING:
    from export.hybrid_result import HybridResult
    from hardware.compare import LayerComparison
    from mdft.data.dataset import ClipSet
    from mdft.training.evaluation import ScoredSplit


@dataclass(frozen=True)
class HybridConfig:
    """Test a run with its motion branch in a simulator and the rest in PyTorch.

    Prints S, U, HM and ZSL beside PyTorch's and the spikes that differ. Spikes and scores must be
    equal in a floating-point backend for a run trained with --motion.arithmetic float, and in a
    fixed-point one for a run trained with loihi; otherwise differences are only reported.
    Exit status: 0 all required values are equal, 1 a required one differs, 2 wrong usage.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder, or the checkpoint file in it."""
    backend: Annotated[str, tyro.conf.arg(help=f"One of {', '.join(BACKENDS)}.")]
    """A key of `hardware.backends.BACKENDS`."""
    runtime: str = "inline"
    """For Lava: inline (one OS process) or process (Lava's own runtime)."""
    limit: int | None = None
    """Number of test clips, equally many of each class; by default all."""
    seed: int = 0
    """Seed of the choice of clips for --limit."""
    batch_size: int = 256
    """Clips per run of the simulator; it changes the scores only by rounding."""
    json: Path | None = None
    """Also write the result to this JSON file."""


def hybrid(config: HybridConfig) -> HybridResult:
    """Test a run with PyTorch and with a simulator.

    Raises:
        UserError: the run is not finished or has no spiking network, its data has changed since,
            an argument is out of range, or the backend is unknown or cannot express the graph.
    """
    backend = find_backend(config.backend, config.runtime)
    require(config.batch_size >= 1, "--batch-size", config.batch_size, "at least 1")
    check_targets({"--json": config.json}, {})
    # Imported here and below, so that --help and a mistyped flag do not import torch.
    from export.hybrid_result import HybridResult
    from export.simulated import SimulatedMotion
    from export.subset import balanced_subset
    from mdft.runs.folder import RESULTS, read_config, read_results, run_folder
    from mdft.runs.load import clips_of, load_ours
    from mdft.runs.same_data import check_same_data
    from mdft.training.evaluation import score_split

    folder = run_folder(config.run)
    if not (folder / RESULTS).is_file():
        raise UserError(f"{folder}: no {RESULTS} there, which holds its β; finish the training")
    beta, model = read_results(folder).beta, load_ours(folder)
    if not model.spiking:
        raise UserError(f"{config.run}: trained without a spiking network, expected one")
    clips, stage = clips_of(folder), STAGES[-1]
    check_same_data(folder, read_config(folder).data, clips)
    available = sum(len(clips.splits[name]) for name in (stage.seen, stage.unseen))
    if config.limit is not None:
        clips = balanced_subset(clips, stage.seen, stage.unseen, config.limit, config.seed)
    motion = SimulatedMotion(model, backend, config.runtime)
    torch, simulated = (
        score_split(model, clips, stage.seen, stage.unseen, config.batch_size, forward)
        for forward in (None, motion)
    )
    layers = motion.layers()
    return HybridResult(
        backend=config.backend,
        runtime=config.runtime if backend.runtimes else None,
        arithmetic=model.config.motion.arithmetic,
        clips=len(torch.labels),
        available=available,
        classes=len(torch.classes),
        seed=None if config.limit is None else config.seed,
        torch=_scores(torch, beta),
        hybrid=_scores(simulated, beta),
        reclassified=_reclassified(torch, simulated, beta),
        layers=layers,
        first_clips=_first_clips(layers, clips),
        required=backend.fixed == (model.config.motion.arithmetic == "loihi"),
        milliseconds=1000 * motion.seconds / motion.clips,
        milliseconds_torch=1000 * motion.seconds_torch / motion.clips,
        steps=_steps(clips),
        notes=tuple(motion.notes),
    )


def _scores(split: ScoredSplit, beta: float) -> dict[str, float]:
    from export.hybrid_result import SCORES

    found = gzsl.scores(split.distances, split.labels, split.seen, beta)
    return {name: getattr(found, name) for name in SCORES}


def _reclassified(a: ScoredSplit, b: ScoredSplit, beta: float) -> int:
    called_N, other_N = (gzsl.predict(x.distances, x.seen, beta)[0] for x in (a, b))
    return int((called_N != other_N).sum())


def _tested(clips: ClipSet) -> np.ndarray:
    stage = STAGES[-1]
    return np.concatenate([clips.splits[stage.seen], clips.splits[stage.unseen]])


def _first_clips(layers: dict[str, LayerComparison], clips: ClipSet) -> dict[str, str]:
    order = _tested(clips)
    return {
        name: str(clips.names[int(order[layer.first[0]])])
        for name, layer in layers.items()
        if layer.first is not None
    }


def _steps(clips: ClipSet) -> int:
    return int(clips.seconds_N[_tested(clips)].max()) * clips.events_MKD.shape[1]


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit status."""
    config = parse(HybridConfig, "python -m export.hybrid", args)
    from export.hybrid_result import show

    result = hybrid(config)
    show(result, Console(width=None if sys.stdout.isatty() else 120))
    if config.json is not None:
        found = asdict(result) | {"differing": result.differing, "failed": result.failed}
        write_atomic(config.json, (json.dumps(found, indent=2) + "\n").encode())
    return int(result.failed)


if __name__ == "__main__":
    run_main(main)
