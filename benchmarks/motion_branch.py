"""``python -m benchmarks.motion_branch``: a training step of the motion branch over its floor.

The floor is its matrix products alone, forward and backward; the baseline of the same run.
Beside it the branch with the plain loop over steps, and snnTorch's neurons with a Linear a step
(which have a constant threshold). All get the same weights, input and gradient of the spikes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import snntorch
import torch
import tyro
from snntorch import surrogate
from torch import Tensor, nn

from benchmarks.timing import medians, show
from mdft.calibrate import calibrate
from mdft.lif import lif_sequence
from mdft.motion import MotionBranch
from mdft.neuron import AtanSpike, LIFParams

WIDTH, LAYERS = 512, 3


@dataclass(frozen=True)
class Options:
    """What is measured."""

    quick: bool = False
    """One small setting, few rounds."""
    batches: tuple[int, ...] = (64, 256)
    """Samples."""
    steps: tuple[int, ...] = (10, 30, 60)
    """Simulation steps of each."""
    rounds: int = 9
    """Counted rounds."""
    threads: int | None = None
    """Of torch; default: as many as it takes."""


class SNNTorch(nn.Module):
    """The branch in snnTorch: a loop over steps, each through every layer.

    Args:
        branch: its weights and neuron are taken.
    """

    def __init__(self, branch: MotionBranch) -> None:
        super().__init__()
        self.linears, self.neurons = nn.ModuleList(), []
        for weight_NF, bias_N in branch.grid_parameters():
            linear = nn.Linear(weight_NF.shape[1], weight_NF.shape[0])
            linear.weight.data, linear.bias.data = weight_NF.detach(), bias_N.detach()
            self.linears.append(linear)
            self.neurons.append(
                snntorch.Leaky(
                    branch.beta,
                    threshold=branch.v_threshold,
                    spike_grad=surrogate.atan(alpha=branch.spike.alpha),
                    reset_mechanism="zero",
                    reset_delay=False,
                )
            )

    def forward(self, x_BSF: Tensor) -> Tensor:
        """Spikes (B,S,N) of the last layer."""
        membranes = [neuron.reset_mem() for neuron in self.neurons]
        out = []
        for signal in x_BSF.unbind(1):
            for i, (linear, neuron) in enumerate(zip(self.linears, self.neurons, strict=True)):
                signal, membranes[i] = neuron(linear(signal), membranes[i])
            out.append(signal)
        return torch.stack(out, 1)


def measure(batch: int, steps: int, rounds: int) -> dict[str, float]:
    """Median seconds of forward and backward.

    Args:
        batch: samples.
        steps: simulation steps of each.
        rounds: counted rounds.
    """
    torch.manual_seed(0)
    x_BSF = (torch.rand(batch, steps, WIDTH) < 0.1).float()
    theta_BS1 = (1 + 0.2 * torch.rand(batch, steps, 1)).requires_grad_()
    grad_BSN = torch.randn(batch, steps, WIDTH)
    branch = MotionBranch(WIDTH, WIDTH, LAYERS)
    calibrate(branch, x_BSF, branch.threshold_current(theta_BS1), rate=0.1)
    loop = MotionBranch(WIDTH, WIDTH, LAYERS, fused=False)
    loop.load_state_dict(branch.state_dict())
    products = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)))
    peer = SNNTorch(branch)
    steps_of: dict[str, Callable[[], Tensor]] = {
        "motion branch": lambda: branch(x_BSF, branch.threshold_current(theta_BS1)),
        "matrix products": lambda: products(x_BSF),
        "plain loop": lambda: loop(x_BSF, loop.threshold_current(theta_BS1)),
        "snnTorch": lambda: peer(x_BSF),
    }
    works = {name: _training_step(forward, grad_BSN) for name, forward in steps_of.items()}
    return medians(works, rounds=rounds)


def _training_step(forward: Callable[[], Tensor], grad_BSN: Tensor) -> Callable[[], None]:
    def step() -> None:
        forward().backward(grad_BSN)

    return step


def kernel(batch: int, steps: int, rounds: int) -> dict[str, float]:
    """Median seconds of the fused LIF alone, and of copying what it must move: 24 B an element."""
    current_BSN = torch.randn(batch, steps, WIDTH, requires_grad=True)
    grad_BSN = torch.randn(batch, steps, WIDTH)
    params, spike = LIFParams(0.5, 1.0), AtanSpike()
    spikes_BSN, membrane_BSN = lif_sequence(current_BSN, params, spike)
    inplace_BSN = membrane_BSN.clone()

    def forward() -> None:
        lif_sequence(inplace_BSN, params, spike, overwrite=True)

    def backward() -> None:
        torch.autograd.grad(spikes_BSN, current_BSN, grad_BSN, retain_graph=True)

    def copies() -> None:
        for _ in range(3):
            inplace_BSN.clone()

    works = {"LIF forward": forward, "LIF backward": backward, "3 copies": copies}
    return medians(works, rounds=rounds)


def main(options: Options) -> None:
    """Print the tables."""
    if options.threads:
        torch.set_num_threads(options.threads)
    settings = [(b, s) for b in options.batches for s in options.steps]
    rounds = options.rounds
    if options.quick:
        settings, rounds = [(64, 10)], 3
    threads = torch.get_num_threads()
    rows = {f"B {b}, S {s}": measure(b, s, rounds) for b, s in settings}
    title = f"{LAYERS} × (Linear + LIF), {WIDTH} wide, forward and backward, {threads} threads"
    show(title, rows, "matrix products")
    rows = {f"B {b}, S {s}": kernel(b, s, 3 * rounds) for b, s in settings}
    show(f"one fused LIF alone, {threads} threads", rows, "3 copies")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
