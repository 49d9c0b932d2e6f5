"""The motion branch in other libraries, with its weights and its neuron at the threshold θ0."""

from __future__ import annotations

import math
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from mdft.model.motion import MotionBranch


def linears_of(branch: MotionBranch) -> nn.ModuleList:
    """Return Linear layers with the quantised weights and biases of a branch."""
    linears = nn.ModuleList()
    for weight_NF, bias_N in branch.grid_parameters():
        linear = nn.Linear(weight_NF.shape[1], weight_NF.shape[0])
        linear.weight.data, linear.bias.data = weight_NF.detach(), bias_N.detach()
        linears.append(linear)
    return linears


class SNNTorch(nn.Module):
    """The branch in snnTorch: a loop over steps, with all layers in each step.

    Args:
        branch: the branch whose weights and neuron constants are used.
    """

    def __init__(self, branch: MotionBranch) -> None:
        super().__init__()
        leaky = import_module("snntorch").Leaky
        surrogate = import_module("snntorch.surrogate")
        self.linears = linears_of(branch)
        self.neurons = [
            leaky(
                branch.beta,
                threshold=branch.v_threshold,
                spike_grad=surrogate.atan(alpha=branch.spike.alpha),
                reset_mechanism="zero",
                reset_delay=False,
            ).to(branch.linear(0).weight.device)
            for _ in self.linears
        ]

    def forward(self, x_BSF: Tensor) -> Tensor:
        """Spikes (B,S,N) of the last layer."""
        membranes = [neuron.reset_mem() for neuron in self.neurons]
        out = []
        for signal in x_BSF.unbind(1):
            for i, (linear, neuron) in enumerate(zip(self.linears, self.neurons, strict=True)):
                signal, membranes[i] = neuron(linear(signal), membranes[i])
            out.append(signal)
        return torch.stack(out, 1)


def spikingjelly_backend(device: str) -> str | None:
    """Return the fastest backend of SpikingJelly's LIF on a device; None: it is not installed."""
    if find_spec("spikingjelly") is None:
        return None
    if device == "cuda":
        offered = _spikingjelly_node(0.5, 1.0, 2.0, "torch").supported_backends
        for backend in ("triton", "cupy"):
            if backend in offered and find_spec(backend) is not None:
                return backend
    return "torch"


def _spikingjelly_node(beta: float, v_threshold: float, alpha: float, backend: str) -> Any:
    library = "spikingjelly.activation_based"
    return import_module(f"{library}.neuron").LIFNode(
        tau=1 / (1 - beta),
        decay_input=False,
        v_threshold=v_threshold,
        v_reset=0.0,
        surrogate_function=import_module(f"{library}.surrogate").ATan(alpha=alpha),
        detach_reset=True,
        step_mode="m",
        backend=backend,
    )


class SpikingJelly(nn.Module):
    """The branch in SpikingJelly: per layer a Linear and a multi-step LIF; steps come first.

    Args:
        branch: the branch whose weights and neuron constants are used.
        backend: the result of :func:`spikingjelly_backend`.
    """

    def __init__(self, branch: MotionBranch, backend: str) -> None:
        super().__init__()
        self.linears = linears_of(branch)
        given = branch.beta, branch.v_threshold, branch.spike.alpha, backend
        self.neurons = [_spikingjelly_node(*given) for _ in self.linears]

    def forward(self, x_BSF: Tensor) -> Tensor:
        """Spikes (B,S,N) of the last layer."""
        signal = x_BSF.transpose(0, 1).contiguous()
        for linear, neuron in zip(self.linears, self.neurons, strict=True):
            neuron.reset()
            signal = neuron(linear(signal))
        return signal.transpose(0, 1)


class Norse(nn.Module):
    """The branch in Norse: per layer a Linear and a lifted ``LIFBoxCell``; steps come first.

    Its membrane ``v ← v + (1 − β)(I − v)`` is ours times 1 − β; its threshold is scaled likewise.

    Args:
        branch: the branch whose weights and neuron constants are used.
    """

    def __init__(self, branch: MotionBranch) -> None:
        super().__init__()
        library = import_module("norse.torch")
        rate, device = 1 - branch.beta, branch.linear(0).weight.device
        numbers = 1000 * rate, 0.0, rate * branch.v_threshold, 0.0
        rest = [torch.tensor(number, device=device) for number in numbers]
        params = library.LIFBoxParameters(*rest, method="super", alpha=torch.tensor(10.0))
        self.linears = linears_of(branch)
        self.neurons = [library.Lift(library.LIFBoxCell(params, dt=0.001)) for _ in self.linears]

    def forward(self, x_BSF: Tensor) -> Tensor:
        """Spikes (B,S,N) of the last layer."""
        signal = x_BSF.transpose(0, 1).contiguous()
        for linear, neuron in zip(self.linears, self.neurons, strict=True):
            signal, _ = neuron(linear(signal))
        return signal.transpose(0, 1)


class Sinabs(nn.Module):
    """The branch in Sinabs: per layer a Linear and a ``LIF`` over all steps.

    Args:
        branch: the branch whose weights and neuron constants are used.
    """

    def __init__(self, branch: MotionBranch) -> None:
        super().__init__()
        layers, activation = import_module("sinabs.layers"), import_module("sinabs.activation")
        self.linears = linears_of(branch)
        self.neurons = [
            layers.LIF(
                tau_mem=-1 / math.log(branch.beta),
                spike_threshold=torch.tensor(branch.v_threshold),
                spike_fn=activation.SingleSpike,
                reset_fn=activation.MembraneReset(),
                norm_input=False,
            ).to(branch.linear(0).weight.device)
            for _ in self.linears
        ]

    def forward(self, x_BSF: Tensor) -> Tensor:
        """Spikes (B,S,N) of the last layer."""
        signal = x_BSF
        for linear, neuron in zip(self.linears, self.neurons, strict=True):
            neuron.reset_states()
            signal = neuron(linear(signal))
        return signal


def snn_peers(branch: MotionBranch, device: str) -> dict[str, nn.Module]:
    """Return the branch in snnTorch and the other libraries, those of them that are installed."""
    found: dict[str, nn.Module] = {}
    if find_spec("snntorch") is not None:
        found["snnTorch"] = SNNTorch(branch)
    if backend := spikingjelly_backend(device):
        found[f"SpikingJelly {backend}"] = SpikingJelly(branch, backend)
    found |= {
        peer.__name__: peer(branch) for peer in (Norse, Sinabs) if find_spec(peer.__name__.lower())
    }
    return found
