"""The log-mel spectrogram that SeLaVi's sound network was trained on."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

RATE = 44100
FILTERS = 257
_FFT = 1024
_WINDOW, _STEP = 882, 441  # 20 ms every 10 ms
_PREEMPHASIS = 0.97
_MEAN, _DEVIATION = 1.93, 17.89


def spectrogram(second: np.ndarray) -> Tensor:
    """One second of sound: (257, 99) float32.

    As ``python_speech_features.logfbank`` (winlen 0.02, winstep 0.01, nfilt 257, nfft 1024) of
    16-bit samples: pre-emphasis ``y_n = x_n − 0.97 x_{n−1}``, 99 frames without a window
    function, power ``|FFT|²/1024``, mel filters, natural logarithm; then
    ``(x − 1.93)/17.89``. A filter without energy, as the lowest ones are that span no frequency,
    gives the logarithm of float64's epsilon.

    Args:
        second: (44100,) float samples, full scale ±1.
    """
    samples = np.clip(np.round(second.astype(np.float64) * 32768), -32768, 32767)
    emphasised = np.append(samples[0], samples[1:] - _PREEMPHASIS * samples[:-1])
    count = 1 + -(-(len(emphasised) - _WINDOW) // _STEP)
    padded = np.zeros((count - 1) * _STEP + _WINDOW)
    padded[: len(emphasised)] = emphasised
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_STEP]
    power = np.abs(np.fft.rfft(windows, _FFT)) ** 2 / _FFT
    energy = power @ mel_triangles().T
    energy[energy == 0] = np.finfo(np.float64).eps
    return torch.from_numpy(((np.log(energy).T - _MEAN) / _DEVIATION).astype(np.float32))


@lru_cache(maxsize=1)
def mel_triangles() -> np.ndarray:
    """(257, 513) float64 triangles between FFT bins ``⌊1025 f/44100⌋``, f evenly spaced in mel.

    ``mel(f) = 2595 log10(1 + f/700)``, from 0 to 22050 Hz. Corners are whole bins, so that the
    lowest filters are empty.
    """
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, FILTERS + 2) / 2595) - 1)
    corner = np.floor((_FFT + 1) * corners / RATE)
    i = np.arange(_FFT // 2 + 1)
    low, mid, high = corner[:-2, None], corner[1:-1, None], corner[2:, None]
    with np.errstate(divide="ignore", invalid="ignore"):  # empty slopes, chosen nowhere
        rising = np.where((low <= i) & (i < mid), (i - low) / (mid - low), 0.0)
        falling = np.where((mid <= i) & (i < high), (high - i) / (high - mid), 0.0)
    return rising + falling
