"""MDFT, the model of the paper's Figure 2, and its parts."""

from mdft.model.dab import DiscrepancyAnalysis
from mdft.model.mdft import MDFT
from mdft.model.motion import MotionBranch
from mdft.model.rjlu import RJLU

__all__ = ["MDFT", "RJLU", "DiscrepancyAnalysis", "MotionBranch"]
