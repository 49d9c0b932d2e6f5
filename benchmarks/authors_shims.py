"""What lets the authors' code run on today's libraries and without CUDA, from outside of it.

The child processes import this file by its bare name; it imports nothing of this project.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any

#: Modules that the code imports and does not use in a training, with the names that it imports.
UNUSED = {"ptflops": ("get_model_complexity_info",), "torchvision": ("models",)}


def accept_verbose():
    """Let ``ReduceLROnPlateau`` accept ``verbose``, which torch had until 2.6."""
    schedulers: Any = importlib.import_module("torch.optim.lr_scheduler")
    known = schedulers.ReduceLROnPlateau

    def scheduler(*args, verbose=None, **kwargs):
        return known(*args, **kwargs)

    schedulers.ReduceLROnPlateau = scheduler


def stay_on_the_cpu():
    """Let ``cuda()`` of a tensor return the tensor where there is no CUDA device."""
    torch = importlib.import_module("torch")
    if not torch.cuda.is_available():
        torch.Tensor.cuda = lambda self, *args, **kwargs: self


def read_own_checkpoints():
    """Let ``torch.load`` read whole pickles, as before torch 2.6: the run wrote them itself."""
    torch: Any = importlib.import_module("torch")
    known = torch.load

    def load(*args, **kwargs):
        return known(*args, **{"weights_only": False, **kwargs})

    torch.load = load


def load_in_this_process():
    """Let every ``DataLoader`` draw its batches without worker processes."""
    data: Any = importlib.import_module("torch.utils.data")

    class DataLoader(data.DataLoader):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **{**kwargs, "num_workers": 0})

    data.DataLoader = DataLoader


def replace_unused():
    """Put empty modules in the place of ``UNUSED`` ones that are not installed."""
    for name, attributes in UNUSED.items():
        if importlib.util.find_spec(name) is None:
            module = types.ModuleType(name)
            for attribute in attributes:
                setattr(module, attribute, None)
            sys.modules[name] = module


def old_spikingjelly():
    """Let ``spikingjelly.clock_driven`` be ``activation_based``, its name since 0.0.0.0.13."""
    if importlib.util.find_spec("spikingjelly") is None:
        return  # their own import then names it
    if importlib.util.find_spec("spikingjelly.clock_driven") is None:
        for name in ("", ".neuron", ".functional", ".surrogate", ".layer"):
            module = importlib.import_module(f"spikingjelly.activation_based{name}")
            sys.modules[f"spikingjelly.clock_driven{name}"] = module
