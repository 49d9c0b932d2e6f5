"""Mixing the channels of decoded sound to one, as loud as one channel.

The weights are those of FFmpeg's mixer (``ffmpeg -ac 1``), normalised to sum 1: sound that is equal
in all channels keeps its level, and the sum of full-scale channels stays within ±1. For layouts
that FFmpeg does not mix, and for numbers of channels that it has no layout for, every channel
has the same weight, except those without sound of their own: LFE, unused channels, and the
directional components of ambisonics.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.error import FFmpegError
from numpy.typing import NDArray

#: The channels that FFmpeg has names for, in its order; it mixes layouts in this order only.
ORDER = (
    *("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR"),
    *("TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR", "DL", "DR", "WL", "WR"),
    *("SDL", "SDR", "LFE2", "TSL", "TSR", "BFC", "BFL", "BFR", "SSL", "SSR"),
    *("TTL", "TTR", "BIL", "BIR"),
)
_UNNAMED = "NONE"
_WITHOUT_SOUND = ("LFE", "LFE2", "UNSD")
_OMNIDIRECTIONAL = "AMBI0"
# Far beyond full scale, 1, and so small that no sum in a resampler overflows.
_LARGEST = 1e6


@lru_cache(maxsize=64)
def weights_of(channels: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the weight of each channel in the mixdown, (C,) float32, not negative, sum 1.

    Args:
        channels: FFmpeg's names of the C channels; all ``NONE`` if the layout is unknown, for which
            FFmpeg assumes the most usual layout of C channels.
    """
    weights = _of_mixer(channels)
    if weights is None or not weights.any():
        weights = np.array([_has_sound(name) for name in channels], dtype=np.float64)
    if not weights.any():
        weights = np.ones(len(channels))
    return (weights / weights.sum()).astype(np.float32)


def _has_sound(channel: str) -> bool:
    directional = channel.startswith("AMBI") and channel != _OMNIDIRECTIONAL
    return channel not in _WITHOUT_SOUND and not directional


def _of_mixer(channels: tuple[str, ...]) -> NDArray[np.float64] | None:
    """Return the weights that FFmpeg's mixer uses before it normalises them, None if it refuses.

    The mixer is given an impulse in one channel after the other, so its output is the weights.
    """
    count = len(channels)
    order = list(range(count))
    layout = f"{count} channels"
    if set(channels) != {_UNNAMED}:
        if not set(channels) <= set(ORDER) or len(set(channels)) < count:
            return None
        order.sort(key=lambda i: ORDER.index(channels[i]))
        layout = "+".join(channels[i] for i in order)
    impulses = np.eye(count, dtype=np.float32).reshape(1, -1)
    try:
        frame = av.AudioFrame.from_ndarray(impulses, format="flt", layout=layout)
        frame.sample_rate = 8000
        (mixed,) = av.AudioResampler(format="flt", layout="mono", rate=8000).resample(frame)
    except (FFmpegError, ValueError):
        return None
    weights = np.zeros(count)
    weights[order] = mixed.to_ndarray()[0]
    return np.abs(weights)


def declared_channels(stream: AudioStream) -> tuple[str, ...]:
    """Return the names of the channels that a file declares; call this before decoding the stream.

    The decoder is left with the number of channels only if their order is not FFmpeg's (QuickTime
    has such orders): PyAV frees the memory of such a layout twice, which ends the process.
    """
    context = stream.codec_context
    layout = context.layout
    channels = tuple(channel.name for channel in layout.channels)
    if channels:
        name = layout.name
        context.layout = f"{len(channels)} channels" if " channels (" in name else name
    return channels


class Mixer:
    """Mixes decoded frames, of any sample format, to one channel.

    Args:
        channels: names of the channels for frames that bring none.

    Attributes:
        not_finite: the number of samples, of all channels, that were NaN, infinite or beyond a
            million times full scale; they are taken as 0.
    """

    def __init__(self, channels: Sequence[str] = ()) -> None:
        self.not_finite = 0
        self._channels = tuple(channels)
        self._converter: AudioResampler | None = None
        self._settings: tuple[str, str, int] | None = None

    def mix(self, frame: AudioFrame) -> AudioFrame:
        """Return a frame of one channel, flt, with the rate and time stamp of `frame`.

        Raises:
            FFmpegError, ValueError: FFmpeg cannot convert the format.
        """
        settings = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._converter is None or settings != self._settings:
            # Not `to_ndarray` of the frame: it reads past the end of eight planes and more.
            self._converter, self._settings = av.AudioResampler(format="flt"), settings
        (packed,) = self._converter.resample(frame)
        names = tuple(channel.name for channel in frame.layout.channels)
        if set(names) == {_UNNAMED} and len(names) == len(self._channels):
            names = self._channels
        samples = packed.to_ndarray().astype(np.float32, copy=False).reshape(-1, len(names))
        mixed = av.AudioFrame.from_ndarray(
            self._finite(samples, weights_of(names))[None], format="flt", layout="mono"
        )
        mixed.sample_rate, mixed.pts = frame.sample_rate, frame.pts
        if frame.time_base is not None:
            mixed.time_base = frame.time_base
        return mixed

    def _finite(
        self, samples: NDArray[np.float32], weights: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the weighted sum over the channels; its order is fixed, so are its bits."""
        finite = np.abs(samples) <= _LARGEST
        if not finite.all():
            self.not_finite += int(finite.size - np.count_nonzero(finite))
            samples = np.where(finite, samples, np.float32(0))
        total = weights[0] * samples[:, 0]
        for weight, channel in zip(weights[1:], samples.T[1:], strict=True):
            if weight:
                total += weight * channel
        return total
