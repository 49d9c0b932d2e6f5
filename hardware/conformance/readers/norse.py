"""Norse's `from_nir`, with the graph's dt."""

import importlib

PACKAGES = ("norse", "nirtorch", "nir", "torch")


def prepare():
    """Import the reader."""
    importlib.import_module("norse.torch")


def run(path, inputs, dt, option):
    """Return the values of each Output, (steps, …)."""
    nir, torch = importlib.import_module("nir"), importlib.import_module("torch")
    module = importlib.import_module("norse.torch").from_nir(
        nir.read(path), ignore_warnings=True, dt=dt
    )
    (x,) = inputs.values()
    state, found = None, []
    with torch.no_grad():
        for step in torch.from_numpy(x)[:, None]:
            y, state = module(step, state)
            found.append(y[0].numpy())
    return {"output": found}
