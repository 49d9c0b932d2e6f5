"""Our own backends, in the project's environment; `option` is the backend's name."""

import importlib
import warnings

PACKAGES = ("mdft", "nir", "numpy", "lava-nc")


def prepare():
    """Import the reader."""
    importlib.import_module("hardware.simulation")


def run(path, inputs, dt, option):
    """Return the values of each Output, (steps, …)."""
    simulation = importlib.import_module("hardware.simulation")
    network = simulation.load(path, dt)
    batched = {name: x.reshape(1, len(x), -1) for name, x in inputs.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rounding for fixed point shows in the result
        found = simulation.simulate(network, batched, option)
    outputs = {}
    for name, p in network.outputs.items():
        y = found.spikes[p] if p in found.spikes else found.membrane(p)
        outputs[name] = y[0]
    return outputs
