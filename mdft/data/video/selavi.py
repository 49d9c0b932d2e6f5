"""SeLaVi's networks, as the extraction code of AVCA and TCaF configures them.

Asano, Patrick, Rupprecht, Vedaldi: Labelling unlabelled videos from scratch with multi-modal
self-supervision, NeurIPS 2020. The visual network is R(2+1)D-18 on 30 frames of 112 × 112 per
second; the audio network is a ResNet with one block per stage on a log-mel spectrogram. The
feature is the pooled vector before the clustering heads, 512 wide and not normalised.

One difference: their code spreads as many one-second windows as the clip has seconds over part of
it (half of a clip of ten to nineteen seconds); this module takes consecutive seconds.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.data.video.backbone import Backbone
from mdft.data.video.torchvision_nets import torchvision_models
from mdft.data.video.weights import load_strictly

FRAMES_PER_SECOND, SIDE = 30, 112
_PIXEL_MEAN, _PIXEL_DEVIATION = 0.45, 0.225
#: Names of the clustering heads, which are not loaded: ``mlp_v``, ``mlp_a``, or ``mlp_v0``, ….
HEADS = r"mlp_[va]\d*\."


def networks() -> nn.ModuleDict:
    """Both networks with random weights, under the names of the published checkpoint.

    ``video_network.base``: R(2+1)D-18. ``audio_network.base``: ResNet with blocks [1,1,1,1] and
    one input channel. Neither has a classifier.
    """
    models = torchvision_models()
    video = models.video.r2plus1d_18(weights=None)
    sound = models.resnet.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1])
    sound.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    video.fc, sound.fc = nn.Identity(), nn.Identity()
    return nn.ModuleDict(
        {
            "video_network": nn.ModuleDict({"base": video}),
            "audio_network": nn.ModuleDict({"base": sound}),
        }
    )


def selavi(checkpoint: Path) -> Backbone:
    """The networks with the weights of a checkpoint, names and shapes checked strictly.

    Args:
        checkpoint: the authors' ``selavi_vgg_sound.pth``, or the same as ``.safetensors``.

    Raises:
        UserError: torchvision is missing, or the file is not a checkpoint of these networks.
        OSError: the file cannot be read.
    """
    pair = networks()
    load_strictly(pair, checkpoint, HEADS)
    pair.eval()
    video, sound = (pair[f"{name}_network"].get_submodule("base") for name in ("video", "audio"))
    return Backbone(
        frame_size=SIDE,
        frames_per_second=FRAMES_PER_SECOND,
        sound_rate=RATE,
        visual=lambda frames: visual_features(video, frames),
        audio=lambda samples: sound_features(sound, samples),
    )


@torch.no_grad()
def visual_features(network: nn.Module, frames: np.ndarray) -> np.ndarray:
    """(T·30, H, W, 3) uint8 → (T, 512) float32: ``(x/255 − 0.45)/0.225``, centre crop of 112.

    Frames whose shorter side is not 112 are resized to it first, bilinearly.
    """
    rows = []
    for start in range(0, len(frames), FRAMES_PER_SECOND):
        second = torch.from_numpy(frames[start : start + FRAMES_PER_SECOND])
        x = second.permute(0, 3, 1, 2).float() / 255
        x = (_cropped(x) - _PIXEL_MEAN) / _PIXEL_DEVIATION
        rows.append(network(x.transpose(0, 1)[None]).flatten())
    return torch.stack(rows).numpy()


def _cropped(x: torch.Tensor) -> torch.Tensor:
    height, width = x.shape[-2:]
    shorter = min(height, width)
    if shorter != SIDE:
        size = (height * SIDE // shorter, width * SIDE // shorter)
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    height, width = x.shape[-2:]
    top, left = -(-(height - SIDE) // 2), -(-(width - SIDE) // 2)
    return x[..., top : top + SIDE, left : left + SIDE]


@torch.no_grad()
def sound_features(network: nn.Module, sound: np.ndarray) -> np.ndarray:
    """(T·44100,) float samples → (T, 512) float32, each second separately."""
    seconds = sound.reshape(-1, RATE)
    return np.concatenate([network(spectrogram(s)[None, None]).numpy() for s in seconds])


RATE = 44100
FILTERS = 257
_FFT = 1024
_WINDOW, _STEP = 882, 441  # 20 ms every 10 ms
_PREEMPHASIS = 0.97
_LOG_MEL_MEAN, _LOG_MEL_DEVIATION = 1.93, 17.89


def spectrogram(second: np.ndarray) -> Tensor:
    """Log-mel spectrogram of one second of sound: (257, 99) float32.

    It equals ``python_speech_features.logfbank`` (winlen 0.02, winstep 0.01, nfilt 257, nfft 1024)
    of 16-bit samples: pre-emphasis ``y_n = x_n − 0.97 x_{n−1}``, 99 frames without a window
    function, power ``|FFT|²/1024``, mel filters, natural logarithm; then
    ``(x − 1.93)/17.89``. A filter without energy (the lowest ones span no frequency) gives the
    logarithm of float64's epsilon.

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
    return torch.from_numpy(
        ((np.log(energy).T - _LOG_MEL_MEAN) / _LOG_MEL_DEVIATION).astype(np.float32)
    )


@lru_cache(maxsize=1)
def mel_triangles() -> np.ndarray:
    """(257, 513) float64 triangles between FFT bins ``⌊1025 f/44100⌋``, f evenly spaced in mel.

    ``mel(f) = 2595 log10(1 + f/700)``, from 0 to 22050 Hz. Corners are rounded down to whole bins,
    which leaves the lowest filters empty.
    """
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, FILTERS + 2) / 2595) - 1)
    corner = np.floor((_FFT + 1) * corners / RATE)
    i = np.arange(_FFT // 2 + 1)
    low, mid, high = corner[:-2, None], corner[1:-1, None], corner[2:, None]
    with np.errstate(divide="ignore", invalid="ignore"):  # slopes of width 0 are never selected
        rising = np.where((low <= i) & (i < mid), (i - low) / (mid - low), 0.0)
        falling = np.where((mid <= i) & (i < high), (high - i) / (high - mid), 0.0)
    return rising + falling
