"""Motion-Decoupled Spiking Transformer for audio-visual zero-shot learning.

Shape legend. A tensor's name ends in its axes, one letter each; a digit is an axis of that length
(``offsets_N1`` has N + 1 entries). Where a letter depends on the package, the table names it.

====== ==========================================================================================
B      batch; in :mod:`mdft.distributed` the rows of a batch
T      seconds
K      event bins per second
S      simulation steps of the spiking branch, S = T·K
D      features (512)
E      joint audio-visual-text space (64)
W      word-vector space (300); in ``mdft.data.feature_bins`` visual features
C      classes
F      inputs of a linear layer; in :mod:`mdft.systems` audio and visual features concatenated;
       in :mod:`mdft.model.recurrence` a multiple of D
H      heads of an attention
U      width of a head, D = H·U
M      the seconds of all clips, one clip after the other
N      clips of a data set; in :mod:`mdft.lif` and :mod:`mdft.model` neurons of a spiking layer
A      one value for all neurons or one for each: 1 or N
L      tokens of an attention (its queries)
J      context tokens of an attention (its keys and values)
P      in :mod:`mdft.lif` programs of a kernel; in :mod:`mdft.systems` the width of an embedding
       of time and modality; in ``events`` pixels
R      representations of a clip, such as one per modality; in :mod:`mdft.distributed` processes
Z      latent variables of f-VAEGAN
X      any axes
====== ==========================================================================================

Two names are kept because checkpoints contain them: ``position_MD`` of AVCA (one row per
representation) and ``weight_steps_L`` of the motion branch (one entry per layer).
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

#: The version in ``pyproject.toml``.
__version__ = "0.1.0"

if TYPE_CHECKING:
    from mdft.inference.classifier import Classifier as Classifier
    from mdft.inference.classifier import load as load
    from mdft.model import RJLU as RJLU
    from mdft.model import DiscrepancyAnalysis as DiscrepancyAnalysis
    from mdft.model import MotionBranch as MotionBranch
    from mdft.training.run import Run as Run
    from mdft.training.run import fit as fit

#: Folder of the trained run in this package, for ``mdft.load(mdft.RELEASED)``; see its
#: MODEL_CARD.md.
RELEASED = Path(__file__).parent / "released"
