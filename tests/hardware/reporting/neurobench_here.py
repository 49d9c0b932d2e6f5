"""What the package NeuroBench says of a network of snnTorch neurons."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np


def neurobench_metrics(network: Any, x: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """Its metrics by name, of a network whose spikes are the expected ones.

    Args:
        network: a torch module of snnTorch neurons.
        x: inputs of every step, float32.
        expected: the output spikes.
    """
    import torch

    with warnings.catch_warnings():  # the package warns of its own imports
        warnings.simplefilter("ignore")
        from neurobench.metrics.static import ConnectionSparsity  # type: ignore[import-not-found]
        from neurobench.metrics.workload import (  # type: ignore[import-not-found]
            ActivationSparsity,
            MembraneUpdates,
            SynapticOperations,
        )
        from neurobench.models import SNNTorchModel  # type: ignore[import-not-found]
    model = SNNTorchModel(network)
    model.register_hooks()
    data = torch.from_numpy(x)
    with torch.no_grad():
        spikes = model(data)
    np.testing.assert_array_equal(spikes.numpy(), expected)
    metrics = (SynapticOperations(), MembraneUpdates(), ActivationSparsity())
    found = {type(m).__name__: m(model, spikes, (data, None)) for m in metrics}
    return found | {"ConnectionSparsity": ConnectionSparsity()(model)}
