"""Spyx' `from_nir`, with the graph's dt; it runs the whole input, (steps, batch, channels)."""

import importlib

PACKAGES = ("spyx", "nir", "jax")


def prepare():
    """Import the reader."""
    importlib.import_module("spyx.nir")


def run(path, inputs, dt, option):
    """Return the values of each Output, (steps, …)."""
    nir, np = importlib.import_module("nir"), importlib.import_module("numpy")
    (x,) = inputs.values()
    read = importlib.import_module("spyx.nir").from_nir
    _, y = read(nir.read(path), np.asarray(x)[:, None], dt=dt)
    return {"output": np.asarray(y)[:, 0]}
