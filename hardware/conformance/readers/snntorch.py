"""snnTorch's `import_from_nir`; it has no argument for dt and assumes 1e-4 s."""

import importlib

PACKAGES = ("snntorch", "nirtorch", "nir", "torch")


def prepare():
    """Import the reader."""
    importlib.import_module("snntorch.import_nir")


def run(path, inputs, dt, option):
    """Return the values of each Output, (steps, …)."""
    nir, torch = importlib.import_module("nir"), importlib.import_module("torch")
    module = importlib.import_module("snntorch.import_nir").import_from_nir(nir.read(path))
    (x,) = inputs.values()
    state, found = None, []
    with torch.no_grad():
        for step in torch.from_numpy(x)[:, None]:
            y, state = module(step, state)
            found.append(y[0].numpy())
    return {"output": found}
