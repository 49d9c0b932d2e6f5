"""Sinabs' `from_nir`; it has no argument for dt, and takes τ as a number of steps."""

import importlib

PACKAGES = ("sinabs", "nirtorch", "nir", "torch")


def prepare():
    """Import the reader."""
    importlib.import_module("sinabs.nir")


def run(path, inputs, dt, option):
    """Return the values of each Output, (steps, …)."""
    nir, torch = importlib.import_module("nir"), importlib.import_module("torch")
    graph = nir.read(path)
    module = importlib.import_module("sinabs.nir").from_nir(graph, batch_size=1)
    (x,) = inputs.values()
    with torch.no_grad():
        y = module(torch.from_numpy(x))  # its layers take (batch·steps, channels)
    return {"output": (y[0] if isinstance(y, tuple) else y).numpy()}
