"""Ten procedural scenes, as textures: the backgrounds of the embedded benchmark.

A texture is rendered once per clip, with margins for the camera shake. Scenes are darker than the
objects, so that the leading edge of an object increases the brightness.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mdft.config.rendered import SCENES
from mdft.errors import UserError

_Painter = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]


def paint(scene: str, rng: np.random.Generator, size: int, margin: int) -> np.ndarray:
    """Render a scene: (size + 2·margin, size + 2·margin, 3) float32 RGB in [0, 255].

    Coordinates are relative to the frame, 0 to 1, so that the scene does not depend on the size.

    Raises:
        UserError: the scene is unknown.
    """
    if scene not in _PAINTERS:
        raise UserError(f"scene {scene!r}: expected one of {', '.join(SCENES)}")
    axis = (np.arange(size + 2 * margin) - margin + 0.5) / size
    x, y = np.meshgrid(axis, axis)
    colours = _PAINTERS[scene](rng, x, y)
    tint = rng.uniform(0.9, 1.1, 3)
    return np.clip(colours * tint, 22, 150).astype(np.float32)


def _noise(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, cells: float) -> np.ndarray:
    """Value noise in [−1, 1]: a random lattice of ``cells`` per frame, smoothly interpolated."""
    side = int(np.ceil(1.5 * cells)) + 3
    lattice = rng.uniform(-1, 1, (side, side))
    u, v = (x + 0.25) * cells, (y + 0.25) * cells
    i, j = np.floor(u).astype(int) % (side - 1), np.floor(v).astype(int) % (side - 1)
    s, t = u - np.floor(u), v - np.floor(v)
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    above = lattice[j, i] * (1 - s) + lattice[j, i + 1] * s
    below = lattice[j + 1, i] * (1 - s) + lattice[j + 1, i + 1] * s
    return above * (1 - t) + below * t


def _clouded(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, cells: float) -> np.ndarray:
    """Three octaves of value noise, in about [−1, 1]."""
    return sum(
        (_noise(rng, x, y, cells * 2**k) * 0.57 / 1.6**k for k in range(3)), np.zeros_like(x)
    )


def _blend(weight: np.ndarray, low: tuple, high: tuple) -> np.ndarray:
    """From colour ``low`` to colour ``high`` by a weight in [−1, 1]."""
    w = np.clip((weight + 1) / 2, 0, 1)[..., None]
    return (1 - w) * np.asarray(low, dtype=float) + w * np.asarray(high, dtype=float)


def _soft(distance: np.ndarray, width: float) -> np.ndarray:
    """1 inside (distance < 0), 0 outside, smooth over ``width``."""
    return np.clip(0.5 - distance / width, 0, 1)


def _meadow(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    blades = 0.6 * _noise(rng, x, 0.35 * y, 22) + 0.6 * _clouded(rng, x, y, 4)
    return _blend(blades, (28, 58, 26), (70, 108, 44))


def _bricks(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    v = (y + rng.uniform()) * 7
    row = np.floor(v)
    u = (x + rng.uniform()) * 3.5 + 0.5 * (row % 2)
    gap = np.minimum(np.abs(u - np.round(u)) / 3.5, np.abs(v - np.round(v)) / 7)
    tone = 0.6 * np.sin(12.9 * np.floor(u) + 78.2 * row) + 0.4 * _clouded(rng, x, y, 9)
    mortar = _soft(gap - 0.012, 0.02)[..., None]
    return (1 - mortar) * _blend(tone, (82, 40, 32), (116, 58, 44)) + mortar * (84, 76, 70)


def _sea(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    wobble = _noise(rng, x, y, 4)
    waves = np.sin(2 * np.pi * (8 * y + 0.6 * wobble + rng.uniform()))
    return _blend(0.7 * waves + 0.4 * _clouded(rng, x, 3 * y, 4), (20, 48, 82), (44, 88, 116))


def _tiles(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    u, v = (x + rng.uniform()) * 4.5, (y + rng.uniform()) * 4.5
    checks = np.sin(np.pi * u) * np.sin(np.pi * v)
    tone = np.clip(checks * 8, -0.9, 0.9) + 0.25 * _clouded(rng, x, y, 6)
    return _blend(tone, (46, 46, 52), (86, 86, 92))


def _planks(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    u = (x + rng.uniform()) * 5
    board = np.floor(u)
    grain = _noise(rng, (u - board) % 1, 0.2 * y, 26)
    tone = 0.5 * grain + 0.5 * np.sin(37.7 * board + rng.uniform(0, 6))
    seam = _soft(np.abs(u - np.round(u)) - 0.04, 0.08)[..., None]
    return (1 - seam) * _blend(tone, (86, 58, 34), (118, 84, 50)) + seam * (40, 28, 20)


def _night(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    sky = _blend(1 - 2 * y + 0.5 * _clouded(rng, x, y, 3), (44, 34, 62), (24, 24, 44))
    for sx, sy, bright in rng.uniform((-0.05, -0.05, 0), (1.05, 1.05, 70), (45, 3)):
        glow = np.exp(-((x - sx) ** 2 + (y - sy) ** 2) / 0.011**2)[..., None]
        sky = sky + bright * glow
    return sky


def _dunes(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    turn = rng.uniform(-0.4, 0.4)
    along = x * np.cos(turn) + y * np.sin(turn) + 0.12 * _clouded(rng, x, y, 2.5)
    ridges = 2 * np.abs(2 * ((along * 5 + rng.uniform()) % 1) - 1) - 1
    return _blend(0.8 * ridges + 0.3 * _noise(rng, x, y, 40), (92, 74, 46), (134, 112, 74))


def _windows(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    u, v = (x + rng.uniform()) * 6, (y + rng.uniform()) * 5
    column, row = np.floor(u), np.floor(v)
    edge = np.maximum(np.abs(u - column - 0.5) / 6, 0.8 * np.abs(v - row - 0.5) / 5)
    lit = np.sin(91.7 * column + 47.3 * row + rng.uniform(0, 6)) > 0.1
    glass = np.where(lit[..., None], (128, 112, 58), (36, 42, 60))
    inside = _soft(edge - 0.045, 0.02)[..., None]
    wall = _blend(_clouded(rng, x, y, 6), (58, 60, 68), (74, 76, 84))
    return (1 - inside) * wall + inside * glass


def _clouds(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    puffs = _clouded(rng, x, 1.5 * y, 2.5)
    return _blend(1.8 * puffs, (62, 76, 118), (128, 108, 122))


def _leaves(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    side = 7
    cells = np.stack(np.meshgrid(np.arange(-1, side + 1), np.arange(-1, side + 1)), axis=-1)
    spots = ((cells + rng.uniform(0, 1, cells.shape)) / side).reshape(-1, 2)
    far = (x[..., None] - spots[:, 0]) ** 2 + (y[..., None] - spots[:, 1]) ** 2
    depth = np.sqrt(far.min(axis=-1)) * side
    tone = 0.8 - 1.5 * depth + 0.5 * np.sin(7.3 * far.argmin(axis=-1))
    return _blend(tone, (34, 26, 16), (104, 78, 24))


_PAINTERS: dict[str, _Painter] = {
    "bricks": _bricks,
    "clouds": _clouds,
    "dunes": _dunes,
    "leaves": _leaves,
    "meadow": _meadow,
    "night": _night,
    "planks": _planks,
    "sea": _sea,
    "tiles": _tiles,
    "windows": _windows,
}
