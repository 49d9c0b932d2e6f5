"""SpikingJelly's `import_from_nir`, with the graph's dt."""

import importlib

PACKAGES = ("spikingjelly", "nirtorch", "nir", "torch")
READER = "spikingjelly.activation_based.nir_exchange"


def prepare():
    """Import the reader."""
    importlib.import_module(READER)


def run(path, inputs, dt, option):
    """Return the values of each Output, (steps, …)."""
    nir = importlib.import_module("nir")
    module = importlib.import_module(READER).import_from_nir(nir.read(path), dt=dt)
    return importlib.import_module("stepping").stepped(module, inputs)
