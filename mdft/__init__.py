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

from mdft.motion import MotionBranch
from mdft.runs import load

#: The run that comes with the package; ``mdft.load(mdft.RELEASED)``. See MODEL_CARD.md there.
RELEASED = Path(__file__).parent / "released"

__all__ = ["RELEASED", "MotionBranch", "load"]
