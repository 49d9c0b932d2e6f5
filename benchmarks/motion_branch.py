"""``python -m benchmarks.motion_branch``: a training step of the motion branch over its floor.

The floor is the matrix products alone, forward and backward. A second lower bound is the memory
that a fused LIF must move, 24 bytes per element and layer, measured as copies. The branch is
compared with the plain loop over steps, snnTorch's neurons with a Linear per step, and those of
SpikingJelly, Norse and Sinabs if they are installed (all with a constant threshold). All have the
same weights, input and gradient of the spikes.

With ``--device cuda`` everything runs on the GPU in strict float32, with synchronisation.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor, nn

from benchmarks.figures import write_figures
from benchmarks.snn_peers import snn_peers
from benchmarks.timing import medians, show
from mdft.lif.layer import lif_sequence
from mdft.lif.neuron import AtanSpike, LIFParams
from mdft.model.calibrate import calibrate
from mdft.model.motion import MotionBranch

WIDTH, LAYERS = 512, 3
#: The floors: names of works.
PRODUCTS, TRAFFIC = "matrix products", "LIF traffic"


@dataclass(frozen=True)
class Options:
    """The settings of the benchmark."""

    quick: bool = False
    """One small setting, few rounds."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where."""
    batches: tuple[int, ...] = (64, 256)
    """Samples."""
    steps: tuple[int, ...] = (10, 30, 60)
    """Simulation steps of each sample."""
    rounds: int = 9
    """Counted rounds."""
    threads: int | None = None
    """Threads of torch; default: torch's own choice."""
    figures: Path | None = None
    """Also write the ratios to this JSON file, for ``python -m benchmarks``."""


def measure(batch: int, steps: int, rounds: int, device: str) -> dict[str, float]:
    """Return the median seconds of forward and backward, and those of the other libraries.

    Args:
        batch: the number of samples.
        steps: the number of simulation steps per sample.
        rounds: counted rounds.
        device: cpu or cuda.
    """
    branch, x_BSF, grad_BSN = example(batch, steps, WIDTH)
    works = floors_and_ours(branch, x_BSF, grad_BSN)
    for name, peer in snn_peers(branch, device).items():
        works[name] = training_step(partial(peer, x_BSF), grad_BSN)
    return medians(works, rounds=rounds, device=device)


def example(batch: int, steps: int, width: int) -> tuple[MotionBranch, Tensor, Tensor]:
    """Return a calibrated branch, inputs (B,S,N) of which a tenth is 1, and a gradient (B,S,N).

    They are on torch's default device.

    Args:
        batch: the number of samples B.
        steps: the number of simulation steps S per sample.
        width: the number of inputs and of neurons N of each layer.
    """
    torch.manual_seed(0)
    x_BSF = (torch.rand(batch, steps, width) < 0.1).float()
    branch = MotionBranch(width, width, LAYERS)
    calibrate(branch, x_BSF, branch.threshold_current(_thresholds(x_BSF)), rate=0.1)
    return branch, x_BSF, torch.randn(batch, steps, width)


def _thresholds(x_BSF: Tensor) -> Tensor:
    """Return moving thresholds (B,S,1), the same ones for every call."""
    generator = torch.Generator(x_BSF.device).manual_seed(1)
    uniform_BS1 = torch.rand(
        *x_BSF.shape[:2], 1, generator=generator, device=x_BSF.device, dtype=x_BSF.dtype
    )
    return 1 + 0.2 * uniform_BS1


def floors_and_ours(
    branch: MotionBranch, x_BSF: Tensor, grad_BSN: Tensor
) -> dict[str, Callable[[], None]]:
    """Return training steps of the branch and of the plain loop, and their two floors.

    Args:
        branch: the branch.
        x_BSF: its input.
        grad_BSN: the gradient of its spikes.
    """
    width = x_BSF.shape[-1]
    theta_BS1 = _thresholds(x_BSF).requires_grad_()
    loop = MotionBranch(width, width, LAYERS, fused=False)
    loop.load_state_dict(branch.state_dict())
    products = nn.Sequential(*(nn.Linear(width, width) for _ in range(LAYERS)))
    steps_of: dict[str, Callable[[], Tensor]] = {
        "motion branch": lambda: branch(x_BSF, theta=theta_BS1),
        PRODUCTS: lambda: products(x_BSF),
        "plain loop": lambda: loop(x_BSF, theta=theta_BS1),
    }
    works = {name: training_step(forward, grad_BSN) for name, forward in steps_of.items()}
    return {**works, TRAFFIC: _copies(grad_BSN, LAYERS)}


def training_step(forward: Callable[[], Tensor], grad_BSN: Tensor) -> Callable[[], None]:
    """Return a function that runs forward and backward with this gradient of the result."""

    def step() -> None:
        forward().backward(grad_BSN)

    return step


def _copies(like_BSN: Tensor, layers: int) -> Callable[[], None]:
    """Return copies of the memory of fused LIFs, 24 bytes per element: three copies per layer."""

    def copies() -> None:
        for _ in range(3 * layers):
            like_BSN.clone()

    return copies


def kernel(batch: int, steps: int, rounds: int, device: str) -> dict[str, float]:
    """Return the median seconds of the fused LIF alone, and of copies of its memory."""
    current_BSN = torch.randn(batch, steps, WIDTH, requires_grad=True)
    grad_BSN = torch.randn(batch, steps, WIDTH)
    params, spike = LIFParams(0.5, 1.0), AtanSpike()
    spikes_BSN, membrane_BSN = lif_sequence(current_BSN, params, spike)
    inplace_BSN = membrane_BSN.clone()

    def forward() -> None:
        lif_sequence(inplace_BSN, params, spike, overwrite=True)

    def backward() -> None:
        torch.autograd.grad(spikes_BSN, current_BSN, grad_BSN, retain_graph=True)

    works = {"LIF forward": forward, "LIF backward": backward, "3 copies": _copies(grad_BSN, 1)}
    return medians(works, rounds=rounds, device=device)


def ratios(rows: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the ratio of each work to the matrix products, and of snnTorch to the branch.

    Args:
        rows: setting → work → seconds.
    """
    found = {}
    for setting, seconds in rows.items():
        for name, taken in seconds.items():
            if name != "matrix products":
                found[f"{name} / matrix products, {setting}"] = taken / seconds["matrix products"]
            if name == "snnTorch":
                found[f"snnTorch / motion branch, {setting}"] = taken / seconds["motion branch"]
    return found


def main(options: Options) -> None:
    """Print the tables."""
    if options.device == "cuda" and not torch.cuda.is_available():
        print("--device cuda: torch finds no CUDA device, expected cpu", file=sys.stderr)
        raise SystemExit(2)
    if options.threads:
        torch.set_num_threads(options.threads)
    settings = [(b, s) for b in options.batches for s in options.steps]
    rounds = options.rounds
    if options.quick:
        settings, rounds = [(64, 10)], 3
    where = f"{platform.machine()}, {torch.get_num_threads()} threads"
    if options.device == "cuda":
        where = torch.cuda.get_device_name()
    where += f", torch {torch.__version__}"
    with torch.device(options.device):
        rows = {f"B {b}, S {s}": measure(b, s, rounds, options.device) for b, s in settings}
        title = f"{LAYERS} × (Linear + LIF), {WIDTH} wide, forward and backward, {where}"
        show(title, rows, PRODUCTS)
        write_figures(options.figures, ratios(rows))
        rows = {f"B {b}, S {s}": kernel(b, s, 3 * rounds, options.device) for b, s in settings}
        show(f"one fused LIF alone, {where}", rows, "3 copies")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
