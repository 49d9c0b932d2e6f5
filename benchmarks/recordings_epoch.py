"""Time of a training epoch on recordings, against the loop of snnTorch's tutorial.

``python -m benchmarks.recordings_epoch DIR`` times the same network, with the same weights,
neurons, batches, loss and optimiser, on recordings of the N-MNIST in DIR: `mdft.recognition`, and
snnTorch as its tutorial 7 ("Neuromorphic Datasets with Tonic + snnTorch") writes it: an
``nn.Sequential`` of layers and ``Leaky`` neurons with hidden states, called once a step; once with
our batches from memory, and once with the tutorial's loader.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import tonic
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.recordings import ARITHMETICS, NETWORKS
from benchmarks.timing import medians, show
from mdft.config.recordings import RecognitionConfig, RecordingsConfig
from mdft.data.recordings.prepared import Recordings, prepare
from mdft.recognition.initial import initial_graph
from mdft.recognition.layers import Conv, Pool, parse_layers
from mdft.recognition.network import SpikingGraph
from mdft.recognition.run import BETA, LAYERS
from mdft.recognition.training import batches, train

RECORDINGS = 128
ROUNDS = 3
PEER, LOADER = "snnTorch, tutorial loop", "the same with its loader"


def peer(network: SpikingGraph, config: RecognitionConfig, shape: tuple[int, int, int]) -> Any:
    """The network in snnTorch, with the weights of ours."""
    snn, utils = import_module("snntorch"), import_module("snntorch.utils")
    atan = import_module("snntorch.surrogate").atan(alpha=config.alpha)
    layers = parse_layers(config.layers or LAYERS, network.classes)
    weights = iter(network.weights.values())
    parts: list[nn.Module] = []
    flat, channels = False, shape[0]
    for layer in layers:
        if isinstance(layer, Pool):
            # Tutorial 7 takes the maximum; the sum is the pooling of this network.
            parts.append(nn.AvgPool2d(layer.side, divisor_override=1))
            continue
        module: Any = next(weights)
        given = module.on_grid()
        if isinstance(layer, Conv):
            around = (layer.kernel - 1) // 2
            made: Any = nn.Conv2d(channels, layer.channels, layer.kernel, layer.stride, around)
            channels = layer.channels
        else:
            if not flat:
                parts.append(nn.Flatten())
                flat = True
            made = nn.Linear(given.weight.shape[1], layer.neurons)
        made.weight.data, made.bias.data = given.weight.detach(), given.bias.detach()
        leaky = snn.Leaky(
            beta=BETA,
            threshold=float(network.neurons[network.output].threshold[0]),
            spike_grad=atan,
            init_hidden=True,
            output=False,
            reset_mechanism="zero",
            reset_delay=False,
        )
        parts += [made, leaky]
    parts[-1].output = True  # type: ignore[assignment]
    net = nn.Sequential(*parts)

    def counts(x_BSX: Tensor) -> Tensor:
        """``forward_pass`` of the tutorial: reset the hidden states, then a call a step."""
        utils.reset(net)
        spikes = [net(x_BSX[:, step])[0] for step in range(x_BSX.shape[1])]
        return torch.stack(spikes).sum(0)

    return net, counts


def peer_epoch(
    net: nn.Module,
    counts: Callable[[Tensor], Tensor],
    given: Iterable[tuple[Tensor, Tensor]],
    config: RecognitionConfig,
) -> None:
    """One epoch of the tutorial's loop over batches, with the loss and the optimiser of ours."""
    optimiser = torch.optim.AdamW(net.parameters(), config.learning_rate, weight_decay=0)
    for x_BSX, labels_B in given:
        loss = F.cross_entropy(counts(x_BSX) / config.temperature, labels_B)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


class Ours:
    """The batches of ours as floats, anew in every epoch."""

    def __init__(self, recordings: Recordings, size: int) -> None:
        self.recordings, self.size = recordings, size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        given = batches(self.recordings, self.size, np.random.default_rng(0))
        return ((x_BSX.float(), labels_B) for x_BSX, labels_B in given)


class Theirs:
    """The tutorial's loader: ``ToFrame``, cached on disk, ``DataLoader`` with ``PadTensors``."""

    def __init__(self, root: Path, cache: Path, bins: int, step: int, size: int) -> None:
        kind: Any = type("NMNIST", (tonic.datasets.NMNIST,), {"_check_exists": lambda _: True})
        frames = tonic.transforms.ToFrame((34, 34, 2), time_window=300_000 // bins)
        dataset = kind(str(root), train=True, transform=frames)
        cached: Any = tonic.DiskCachedDataset(dataset, cache_path=str(cache / str(bins)))
        chosen = torch.utils.data.Subset(cached, range(0, len(dataset), step))
        collate = tonic.collation.PadTensors(batch_first=True)
        self.loader = torch.utils.data.DataLoader(
            chosen, batch_size=size, collate_fn=collate, shuffle=True
        )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return ((x_BSX.float(), labels_B) for x_BSX, labels_B in self.loader)


def works(
    root: Path, name: str, bins: int, layers: str, cache: Path
) -> dict[str, Callable[[], object]]:
    """The epochs to time, for a network and a number of bins over 300 ms."""
    data = RecordingsConfig(root=root, bins=bins, bin_ms=300 / bins)
    whole = prepare("NMNIST", data)
    step = max(1, len(whole.train) // RECORDINGS)
    part = slice(0, None, step)
    few = Recordings(whole.train.counts_NSX[part], whole.train.labels_N[part], ())
    found: dict[str, Callable[[], object]] = {}
    for arithmetic in ARITHMETICS:
        config = RecognitionConfig("NMNIST", data, layers=layers, epochs=1, arithmetic=arithmetic)
        graph = initial_graph(parse_layers(layers, len(whole.classes)), whole.shape, beta=BETA)
        network = SpikingGraph(graph, arithmetic=config.arithmetic, headroom=4.0)
        found[f"mdft, {arithmetic}"] = partial(train, network, few, config)
        if arithmetic == "float":
            net, counts = peer(network, config, whole.shape)
            x_BSX = torch.from_numpy(few.counts_NSX[:8].astype(np.float32))
            with torch.no_grad():
                same = (counts(x_BSX) == network.counts(x_BSX)).float().mean()
            print(f"{name}, {bins} bins: {same:.1%} of the spike counts are snnTorch's")
            size = config.batch_size
            loader = Theirs(root, cache, bins, step, size)
            found[PEER] = partial(peer_epoch, net, counts, Ours(few, size), config)
            found[LOADER] = partial(peer_epoch, net, counts, loader, config)
    return found


def main() -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    settings = {}
    with tempfile.TemporaryDirectory() as cache:
        for name, layers in NETWORKS.items():
            for bins in (10, 30, 100):
                found = works(Path(sys.argv[1]), name, bins, layers, Path(cache))
                settings[f"{name[:5]} {bins}"] = medians(found, rounds=ROUNDS)
    show(f"one epoch of {RECORDINGS} recordings, one thread", settings, "mdft, loihi")


if __name__ == "__main__":
    main()
