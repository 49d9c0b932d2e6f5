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
        "inference.classifier": ["Classifier", "load"],
        "training.run": ["Run", "fit"],
    },
)
__all__ += ["RELEASED", "__version__"]

#: As in ``pyproject.toml``.
__version__ = "0.1.0"

if TYPE_CHECKING:
    from mdft.inference.classifier import Classifier as Classifier
    from mdft.inference.classifier import load as load
    from mdft.model import RJLU as RJLU
    from mdft.model import DiscrepancyAnalysis as DiscrepancyAnalysis
    from mdft.model import MotionBranch as MotionBranch
    from mdft.training.run import Run as Run
    from mdft.training.run import fit as fit

#: The run that comes with the package; ``mdft.load(mdft.RELEASED)``. See MODEL_CARD.md there.
RELEASED = Path(__file__).parent / "released"
