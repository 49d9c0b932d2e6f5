"""Firing statistics against plain loops, and what is said of a sick layer."""

import re

import numpy as np
import pytest
import torch

from mdft.model.health import FiringStatistics, LayerHealth, firing_rates


def test_statistics_equal_plain_loops_over_the_seconds_that_exist():
    generator = torch.Generator().manual_seed(0)
    T, K, N = 3, 2, 5
    batches = []
    for B in (4, 2):
        spikes = (torch.rand(B, T * K, N, generator=generator) < 0.2).float()
        spikes[..., 3] = 0  # dead
        mask = torch.arange(T)[None] < torch.randint(1, T + 1, (B, 1), generator=generator)
        batches.append((spikes, mask))
    counted = FiringStatistics()
    for spikes, mask in batches:
        counted.add({"audio": [spikes]}, mask)
    per_neuron = []
    for n in range(N):
        fired = [
            spikes[b, t * K + k, n].item()
            for spikes, mask in batches
            for b in range(len(spikes))
            for t in range(T)
            for k in range(K)
            if mask[b, t]
        ]
        per_neuron.append(sum(fired) / len(fired))
    health = counted.layers()["audio.lif_1"]
    assert health.rate == pytest.approx(np.mean(per_neuron), abs=1e-12)
    assert health.spread == pytest.approx(np.std(per_neuron), abs=1e-12)
    assert (health.dead, health.neurons) == (1, N)


def test_rates_of_one_batch_leave_padding_out():
    spikes = torch.zeros(1, 4, 2)
    spikes[0, 0] = 1
    spikes[0, 2:] = 1  # of the second that does not exist
    rate = firing_rates({"visual": [spikes]}, torch.tensor([[True, False]]))
    assert rate["visual.lif_1"].item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (LayerHealth(0.004, 0.01, 300, 512), "audio.lif_2 fires at 0.4 %.*silent.*300 of 512"),
        (LayerHealth(0.45, 0.1, 0, 512), "audio.lif_2 fires at 45.0 %.*saturated"),
        (LayerHealth(0.06, 0.1, 400, 512), "audio.lif_2: 400 of 512 neurons are dead"),
    ],
)
def test_a_sick_layer_is_named(health: LayerHealth, words: str):
    text = health.warning("audio.lif_2")
    assert text is not None
    assert re.search(words, text)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.30])
def test_nothing_is_said_of_a_healthy_layer(rate: float):
    state = LayerHealth(rate, 0.05, 10, 512)
    assert (state.warning("audio.lif_1"), state.status) == (None, "")
