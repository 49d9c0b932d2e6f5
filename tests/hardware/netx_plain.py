"""A .net file in plain Python integers, without netx: what the file itself says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np


def run_file(path: Path, inputs: dict[str, np.ndarray]) -> tuple[list, list]:
    """Spikes and membranes of the blocks, (B, S, N), read as `write_hdf5` says."""
    spikes, membranes = [], []
    file: Any
    with h5py.File(path) as file:
        x = {n: np.round(inputs[n] / g[()]).astype(int) for n, g in file["input_grids"].items()}
        signal = x[file["layer/0/name"].asstr()[()]]
        for i in range(1, len(file["layer"])):
            layer = {k: v[()] for k, v in file[f"layer/{i}"].items() if k != "neuron"}
            neuron = {k: v[()] for k, v in file[f"layer/{i}/neuron"].items()}
            assert neuron["iDecay"] == 4096 and layer["type"][0] == b"dense"
            a = signal @ layer["weight"].T
            for synapses in file.get(f"further/{i}", {}).values():
                name = synapses["source"].asstr()[()]
                # An input is late by the blocks that come before this one.
                assert synapses["delay"][()] == (i - 1 if name in x else 0)
                source = x.get(name, signal)
                a = a + (source @ synapses["weight"][()].T << synapses["weightExp"][()])
            v, s = np.zeros_like(a), np.zeros_like(a)
            for b in range(a.shape[0]):
                for n in range(a.shape[2]):
                    state = 0
                    for t in range(a.shape[1]):
                        leaked = int(state * (4096 - int(neuron["vDecay"])) / 4096)
                        state = leaked + (int(a[b, t, n]) << 6) + (int(layer["bias"][n]) << 6)
                        v[b, t, n], s[b, t, n] = state, state > int(neuron["vThMant"]) << 6
                        state = 0 if s[b, t, n] else state
            signal = s
            spikes.append(s)
            membranes.append(v)
    return spikes, membranes
