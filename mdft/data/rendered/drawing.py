"""Render the frames of a clip: a moving, textured object over a scene, with camera shake."""

from __future__ import annotations

import numpy as np

from events.kernels.compiled import njit


@njit(nogil=True, cache=True, inline="always")
def _edge(x: float, width: float) -> float:
    """Smooth step from 0 (x ≪ 0) to 1 (x ≫ 0)."""
    return min(1.0, max(0.0, 0.5 + x / width))


@njit(nogil=True, cache=True)
def _outside(shape: int, u: float, v: float) -> float:
    """Approximate signed distance to the object's edge, in units of its radius."""
    rho = np.sqrt(u * u + v * v)
    if shape == 0:
        return rho - 1.0
    if shape == 1:
        return max(abs(u), abs(v)) - 0.84
    if shape == 2:
        fifth = (np.arctan2(u, -v) / (2 * np.pi) * 5.0) % 1.0
        return (rho - (0.45 + 0.65 * abs(2.0 * fifth - 1.0))) * 0.7
    if shape == 3:
        return abs(rho - 0.74) - 0.28
    if shape == 4:
        a, b = max(abs(u), abs(v)), min(abs(u), abs(v))
        return max(a - 1.0, b - 0.34)
    return max(v - 0.62, 0.866 * abs(u) - 0.5 * v - 0.56)


@njit(nogil=True, cache=True)
def _pattern(shape: int, u: float, v: float, width: float) -> float:
    """Share of the second colour in [0, 1] at a point of the object."""
    if shape == 0:
        return _edge(np.sin(u * 5.2) / 5.2, width)
    if shape == 1:
        return _edge(np.sin(u * 3.74) * np.sin(v * 3.74) / 3.74, width)
    if shape == 2:
        return _edge(0.34 - np.sqrt((u - 0.1) ** 2 + (v + 0.28) ** 2), width)
    if shape == 3:
        angle = np.arctan2(v, u)
        return _edge(np.sin(1.5 * angle + 0.8) / 1.5, width)
    if shape == 4:
        return _edge(u, width)
    return _edge(np.sin(v * 6.5 + 0.6) / 6.5, width)


@njit(nogil=True, cache=True, inline="always")
def _hash(n: np.uint64) -> np.uint64:
    """SplitMix64's finaliser: 64 well-mixed bits of a counter."""
    z = n * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(nogil=True, cache=True, inline="always")
def _tap(texture: np.ndarray, x: float, y: float, c: int) -> float:
    """Bilinear sample; (x, y) must lie inside."""
    i, j = int(x), int(y)
    s, t = x - i, y - j
    above = texture[j, i, c] * (1 - s) + texture[j, i + 1, c] * s
    below = texture[j + 1, i, c] * (1 - s) + texture[j + 1, i + 1, c] * s
    return above * (1 - t) + below * t


@njit(nogil=True, cache=True)
def draw_frames(
    texture: np.ndarray,
    pose: np.ndarray,
    shake: np.ndarray,
    gain: np.ndarray,
    colours: np.ndarray,
    shape: int,
    noise: float,
    noise_seed: int,
    frames: np.ndarray,
) -> None:
    """Fill ``frames`` (F, S, S, 3) uint8 RGB.

    Each pixel is ``gain · (α·object + (1−α)·scene) + noise``, rounded; α is the object's
    anti-aliased coverage.

    Args:
        texture: (S + 2m, S + 2m, 3) float32, the scene with margins.
        pose: (F, 4) float64: x, y, radius in pixels, angle in radians.
        shake: (F, 2) float64 camera displacement in pixels, below m − 1.
        gain: (F,) float64 lighting.
        colours: (2, 3) float64 RGB of the object's pattern.
        shape: index into ``OBJECTS``.
        noise: standard deviation of the sensor noise, in levels.
        noise_seed: seed of the noise, which otherwise depends on the pixel's index only.
        frames: output array.
    """
    size = frames.shape[1]
    margin = (texture.shape[0] - size) // 2
    counter = np.uint64(noise_seed)
    for f in range(frames.shape[0]):
        radius = pose[f, 2]
        cos, sin = np.cos(pose[f, 3]), np.sin(pose[f, 3])
        left, top = pose[f, 0] + shake[f, 0], pose[f, 1] + shake[f, 1]
        reach = 1.2 * radius + 1.0
        for y in range(size):
            for x in range(size):
                dx, dy = x + 0.5 - left, y + 0.5 - top
                cover, second = 0.0, 0.0
                if abs(dx) < reach and abs(dy) < reach:
                    u = (cos * dx + sin * dy) / radius
                    v = (cos * dy - sin * dx) / radius
                    cover = _edge(-_outside(shape, u, v) * radius, 1.2)
                    second = _pattern(shape, u, v, 1.2 / radius)
                bits = _hash(counter)
                counter += np.uint64(1)
                for c in range(3):
                    level = _tap(texture, x + margin - shake[f, 0], y + margin - shake[f, 1], c)
                    paint = colours[0, c] * (1 - second) + colours[1, c] * second
                    level = gain[f] * (level + cover * (paint - level))
                    # Two uniforms of ten bits make a triangular variate of variance 1/6.
                    low = (bits >> np.uint64(20 * c)) & np.uint64(1023)
                    high = (bits >> np.uint64(20 * c + 10)) & np.uint64(1023)
                    level += noise * 2.449 * ((float(low) + float(high)) / 1023.0 - 1.0)
                    frames[f, y, x, c] = np.uint8(min(255.0, max(0.0, level + 0.5)))
