"""Counter-based random numbers: SplitMix64, one draw for each pixel, purpose and frame.

A draw does not depend on chunks, threads or order, and uses integer arithmetic only: the numbers
are the same on every machine.
"""

from __future__ import annotations

import numpy as np

from events.kernels.compiled import njit
from events.kernels.pixels import OPTIONS

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
#: The purposes of draws.
ON, OFF, SHOT = 1, 2, 3


@njit(**OPTIONS)
def mix(z):
    """Apply SplitMix64's output function: uint64 state → 64 mixed bits."""
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))


@njit(**OPTIONS)
def draw(key, index):
    """Return output number `index` (from 0) of SplitMix64 seeded with `key`, uint64."""
    return mix(key + (np.uint64(index) + np.uint64(1)) * _GOLDEN)


@njit(**OPTIONS)
def key_of(seed, purpose, frame):
    """Return the seed of the generator for one purpose and frame, uint64."""
    return draw(draw(np.uint64(seed), purpose), frame)


@njit(**OPTIONS)
def uniform(bits):
    """Map 64 bits to [0, 1): the upper 53 bits, exactly."""
    return (bits >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(**OPTIONS)
def spread(seed, purpose, count):
    """Return centred sums of twelve uniform 16-bit numbers, (count,); their variance is 1."""
    out = np.empty(count, dtype=np.float64)
    key = key_of(seed, purpose, 0)
    for pixel in range(count):
        total = 0
        for word in range(3):
            bits = draw(key, 3 * pixel + word)
            for part in range(4):
                total += np.int64((bits >> np.uint64(16 * part)) & np.uint64(0xFFFF))
        out[pixel] = (total + 6 - 12 * 32768) / 65536.0
    return out
