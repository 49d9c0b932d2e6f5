"""Norse's `from_nir`, with the graph's dt."""

import importlib

PACKAGES = ("norse", "nirtorch", "nir", "torch")


def prepare():
    """Import the reader."""
    importlib.import_module("norse.torch")


def run(path, inputs, dt, option):
    """Return the values of each Output, (steps, …)."""
    nir = importlib.import_module("nir")
    module = importlib.import_module("norse.torch").from_nir(
        nir.read(path), ignore_warnings=True, dt=dt
    )
    return importlib.import_module("stepping").stepped(module, inputs)
