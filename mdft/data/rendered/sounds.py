"""The sounds of the embedded benchmark, synchronised with the motion."""

from __future__ import annotations

import numpy as np

from mdft.config.rendered import SCENES, SOUNDS
from mdft.errors import UserError


def synthesise(sound: str, phase: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """One sound: (n,) float64 in about [−1, 1].

    Args:
        sound: one of ``SOUNDS``.
        phase: (n,) phase of the motion at each sample in radians, which modulates the sound. All
            motions have the same range of rates, so that the sound does not identify the motion.
        rate: samples per second.
        rng: random generator for the pitch (±25 %) and the noise.

    Raises:
        UserError: the sound is unknown.
    """
    time = np.arange(len(phase)) / rate
    pitch = rng.uniform(0.75, 1.25)
    turns = phase / (2 * np.pi)
    if sound == "siren":
        pitch_now = pitch * (700 + 250 * np.sin(phase))
        return 0.7 * np.sin(2 * np.pi * np.cumsum(pitch_now) / rate)
    if sound == "hum":
        tone = sum(np.sin(2 * np.pi * 110 * pitch * k * time) / k for k in range(1, 7))
        return 0.45 * tone * (0.75 + 0.25 * np.sin(phase))
    if sound == "clicks":
        since = (4 * turns % 1) / 4
        return np.exp(-since * 90) * np.sin(2 * np.pi * 1500 * pitch * since)
    if sound == "hiss":
        burst = np.clip(3 * np.sin(2 * phase), 0, 1)
        return 0.45 * burst * np.diff(rng.standard_normal(len(phase) + 1))
    if sound == "chirps":
        since = 2 * turns % 1
        sweep = np.cumsum(pitch * (500 + 2000 * since)) / rate
        return 0.7 * np.sin(2 * np.pi * sweep) * np.sin(np.pi * since) ** 0.5
    if sound == "bells":
        since = turns % 1
        partials = ((1.0, 0.5), (2.76, 0.3), (4.1, 0.2))
        ring = sum(a * np.sin(2 * np.pi * 520 * pitch * k * time) for k, a in partials)
        return ring * np.exp(-4 * since)
    raise UserError(f"sound {sound!r}: expected one of {', '.join(SOUNDS)}")


def background(scene: str, samples: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """The noise of a scene: (samples,) float64 of unit power.

    ``1/f^a`` noise with an amplified band; the scene's index in ``SCENES`` determines ``a`` and the
    band.
    """
    i = SCENES.index(scene)
    slope, centre = 0.4 + 0.12 * (i * 3 % len(SCENES)), 200 * 1.35**i
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.maximum(np.fft.rfftfreq(samples, 1 / rate), 20.0)
    band = 1 + 1.5 * np.exp(-(np.log(frequency / centre) ** 2) / 0.1)
    noise = np.fft.irfft(spectrum * frequency**-slope * band, samples)
    return noise / np.sqrt(np.mean(noise**2))


def mix(
    sound: str,
    scene: str,
    phase: np.ndarray,
    rate: int,
    rng: np.random.Generator,
    loudness: float,
    noise: float,
) -> np.ndarray:
    """The recorded sound: (n,) float32 in [−1, 1].

    ``clip(loudness · sound + noise · background)``.
    """
    heard = loudness * synthesise(sound, phase, rate, rng)
    heard += noise * background(scene, len(phase), rate, rng)
    return np.clip(heard, -1, 1).astype(np.float32)
