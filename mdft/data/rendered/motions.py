"""How the objects of the embedded benchmark move."""

from __future__ import annotations

import numpy as np

from mdft.config.rendered import MOTIONS
from mdft.errors import UserError

_SWING = 1.0  # radians from the vertical
_PULSE = 0.45  # share of the radius


def trajectory(motion: str, phase: np.ndarray) -> np.ndarray:
    """The pose of a moving object: (F, 4) float64, x, y, scale, angle.

    Args:
        motion: one of ``MOTIONS``.
        phase: (F,) radians; one cycle of the motion is 2π.

    Returns:
        x (right) and y (down) in units of the amplitude, the factor on the radius, and the
        extra rotation in radians.

    Raises:
        UserError: the motion is unknown.
    """
    zero, one = np.zeros_like(phase), np.ones_like(phase)
    if motion == "sweeps":
        pose = (1.15 * np.sin(phase), zero, one, zero)
    elif motion == "bounces":
        pose = (zero, 1.1 - 2.2 * np.abs(np.sin(phase / 2)), one, zero)
    elif motion == "orbits_cw":
        pose = (np.cos(phase), np.sin(phase), one, zero)
    elif motion == "orbits_ccw":
        pose = (np.cos(phase), -np.sin(phase), one, zero)
    elif motion == "zigzags":
        pose = (1.1 * _triangle(phase / 2), 0.7 * _triangle(2 * phase), one, zero)
    elif motion == "swings":
        angle = _SWING * np.sin(phase)
        pose = (1.4 * np.sin(angle), 1.4 * np.cos(angle) - 1.1, one, -angle)
    elif motion == "spins":
        pose = (zero, zero, one, phase)
    elif motion == "pulses":
        pose = (zero, zero, 1 + _PULSE * np.sin(phase), zero)
    else:
        raise UserError(f"motion {motion!r}: expected one of {', '.join(MOTIONS)}")
    return np.stack(pose, axis=1)


def _triangle(phase: np.ndarray) -> np.ndarray:
    """Triangle wave in [−1, 1] with period 2π, 0 and rising at 0."""
    turns = phase / (2 * np.pi) + 0.25
    return 1 - 4 * np.abs(turns - np.floor(turns) - 0.5)
