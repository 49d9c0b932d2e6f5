"""snnTorch's `import_from_nir`; it has no argument for dt and assumes 1e-4 s."""

import importlib

PACKAGES = ("snntorch", "nirtorch", "nir", "torch")


def prepare():
    """Import the reader."""
    importlib.import_module("snntorch.import_nir")


def run(path, inputs, dt, option):
    """Return the values of each Output, (steps, …)."""
    nir = importlib.import_module("nir")
    module = importlib.import_module("snntorch.import_nir").import_from_nir(nir.read(path))
    return importlib.import_module("stepping").stepped(module, inputs)
