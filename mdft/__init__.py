"""Motion-Decoupled Spiking Transformer for audio-visual zero-shot learning.

Shape legend. A tensor's name ends in its axes, and these letters are the only ones:

====== =====================================================
B      batch
N      neurons (of a spiking layer); clips (of a data set)
T      seconds
K      event bins a second
S      simulation steps of the spiking branch, S = T·K
D      features (512)
F      input features of a spiking layer
E      joint audio-visual-text space (64)
W      word-vector space (300)
C      classes
====== =====================================================
"""

from pathlib import Path
from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "model": ["RJLU", "DiscrepancyAnalysis", "MotionBranch"],
        "runs.load": ["load"],
    },
)
__all__ += ["RELEASED"]

if TYPE_CHECKING:
    from mdft.model import RJLU as RJLU
    from mdft.model import DiscrepancyAnalysis as DiscrepancyAnalysis
    from mdft.model import MotionBranch as MotionBranch
    from mdft.runs.load import load as load

#: The run that comes with the package; ``mdft.load(mdft.RELEASED)``. See MODEL_CARD.md there.
RELEASED = Path(__file__).parent / "released"
