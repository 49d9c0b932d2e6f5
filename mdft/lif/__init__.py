"""The leaky integrate-and-fire neuron: its step, its kernels, its grid and Loihi's integers.

The names below are imported on first use, so that :mod:`mdft.lif.grid` can be used without torch.
"""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "layer": ["DynamicThresholdLIF", "lif_sequence"],
        "neuron": ["AtanSpike", "LIFParams", "lif_loop", "lif_step", "threshold_current"],
    },
)

if TYPE_CHECKING:
    from mdft.lif.layer import DynamicThresholdLIF as DynamicThresholdLIF
    from mdft.lif.layer import lif_sequence as lif_sequence
    from mdft.lif.neuron import AtanSpike as AtanSpike
    from mdft.lif.neuron import LIFParams as LIFParams
    from mdft.lif.neuron import lif_loop as lif_loop
    from mdft.lif.neuron import lif_step as lif_step
    from mdft.lif.neuron import threshold_current as threshold_current
