"""Rockpool's `from_nir`; its neurons take (batch, steps, channels)."""

import importlib

PACKAGES = ("rockpool", "nirtorch", "nir", "torch")


def prepare():
    """Import the reader."""
    importlib.import_module("rockpool.nn.modules.torch.nir")


def run(path, inputs, dt, option):
    """Return the values of each Output, (steps, …)."""
    nir, torch = importlib.import_module("nir"), importlib.import_module("torch")
    graph = nir.read(path)
    module = importlib.import_module("rockpool.nn.modules.torch.nir").from_nir(graph)
    (x,) = inputs.values()
    with torch.no_grad():
        y = module(torch.from_numpy(x)[None])
    return {"output": (y[0] if isinstance(y, tuple) else y)[0].numpy()}
