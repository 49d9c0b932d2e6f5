"""A frozen feature extractor: random networks on frames and on the log-mel spectrogram.

The networks are not trained: their weights are a function of a seed. Both end with pooling over
space and time, so that the features of a frame do not encode the object's position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

#: Width of a feature vector: 256 mean-pooled and 256 max-pooled channels.
FEATURES = 512
FRAMES_A_SECOND = 4
MELS = 64
_WINDOW = 512
_HOPS_A_SECOND = 100


@dataclass(frozen=True)
class Extractor:
    """Weights of the two networks and the mel filters.

    Attributes:
        frames: (weight, bias) of each 2-d convolution, stride 2.
        sound: (weight, bias) of each 1-d convolution, stride 2.
        mel: (64, 257) float64 triangular filters.
        rate: audio samples per second.
    """

    frames: tuple[tuple[Tensor, Tensor], ...]
    sound: tuple[tuple[Tensor, Tensor], ...]
    mel: np.ndarray
    rate: int


def make_extractor(seed: int, rate: int) -> Extractor:
    """Build an extractor from a seed. Weights are orthogonal with He gain, biases N(0, 0.3²)."""
    generator = torch.Generator().manual_seed(seed)

    def layer(outputs: int, inputs: int, *kernel: int) -> tuple[Tensor, Tensor]:
        fan = inputs * int(np.prod(kernel))
        tall, wide = max(outputs, fan), min(outputs, fan)
        gauss = torch.randn(tall, wide, generator=generator, dtype=torch.float64)
        basis, _ = torch.linalg.qr(gauss)
        rows = basis if outputs >= fan else basis.T
        # Rows of unit norm preserve unit variance; √2 compensates for the ReLU.
        weight = rows / rows.norm(dim=1, keepdim=True) * np.sqrt(2.0)
        bias = 0.3 * torch.randn(outputs, generator=generator)
        return weight.reshape(outputs, inputs, *kernel).float(), bias.float()

    frames = (layer(24, 3, 5, 5), layer(48, 24, 3, 3), layer(FEATURES // 2, 48, 3, 3))
    sound = (layer(128, MELS, 5), layer(FEATURES // 2, 128, 5))
    return Extractor(frames, sound, mel_filters(MELS, _WINDOW, rate), rate)


def mel_filters(mels: int, window: int, rate: int) -> np.ndarray:
    """(mels, window//2 + 1) float64 triangles, evenly spaced on the mel scale from 0 to rate/2.

    ``mel(f) = 2595 log10(1 + f/700)`` (HTK); each filter peaks at 1.
    """
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    frequency = np.fft.rfftfreq(window, 1 / rate)
    low, mid, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (frequency - low) / (mid - low), (high - frequency) / (high - mid)
    return np.maximum(0, np.minimum(rising, falling))


def log_mel(sound: np.ndarray, extractor: Extractor) -> np.ndarray:
    """Log-mel spectrogram: (64, 100·T) float32, ``log(1e-3 + mel · |STFT|²)``.

    Args:
        sound: (T·rate,) float samples.
        extractor: provides the filters and the sample rate.
    """
    hop = extractor.rate // _HOPS_A_SECOND
    padded = np.pad(sound.astype(np.float64), (_WINDOW // 2, _WINDOW // 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[:-1:hop]
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW), axis=1)) ** 2
    return np.log(1e-3 + extractor.mel @ power.T).astype(np.float32)


def frame_features(frames: np.ndarray, fps: int, extractor: Extractor) -> np.ndarray:
    """Visual features: (T, 512) float32, the mean over four frames per second.

    Args:
        frames: (T·fps, H, W, 3) uint8 RGB; a last partial second is ignored.
        fps: frames per second.
        extractor: the networks.
    """
    seconds = len(frames) // fps
    picks = (np.arange(seconds * FRAMES_A_SECOND) + 0.5) * fps / FRAMES_A_SECOND
    chosen = torch.from_numpy(frames[picks.astype(int)]).permute(0, 3, 1, 2)
    x = (chosen.float() / 255 - 0.35) / 0.2
    with torch.no_grad():
        for weight, bias in extractor.frames:
            x = F.relu(F.conv2d(x, weight, bias, stride=2, padding=weight.shape[-1] // 2))
        pooled = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        return pooled.reshape(seconds, FRAMES_A_SECOND, FEATURES).mean(dim=1).numpy()


def sound_features(sound: np.ndarray, extractor: Extractor) -> np.ndarray:
    """Audio features: (T, 512) float32, one vector per second.

    Args:
        sound: (T·rate,) float samples.
        extractor: the networks.
    """
    seconds = len(sound) // extractor.rate
    mel = log_mel(sound, extractor).reshape(MELS, seconds, _HOPS_A_SECOND)
    x = torch.from_numpy(np.ascontiguousarray(mel.transpose(1, 0, 2))) / 3
    with torch.no_grad():
        for weight, bias in extractor.sound:
            x = F.relu(F.conv1d(x, weight, bias, stride=2, padding=2))
        return torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1).numpy()
