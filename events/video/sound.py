"""The sound of a clip on the clock of its frames: mono, one rate, sample 0 at the first frame.

Any layout is mixed down to mono (`events.video.mixdown`) and resampled by FFmpeg. The rate, the
format and the layout may change within a stream. Sound before the first frame is dropped; if it
starts later or has gaps, there is silence. A mixdown is clipped to ±1; the sound of one channel
stays as decoded, and compressed sound can overshoot ±1 there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.packet import Packet
from numpy.typing import NDArray

from events.video.mixdown import Mixer

# Smaller gaps between chunks are ignored: stamps are rounded to their time base.
_JITTER_S = 0.02
# The most sound that is kept for later frames; a file with more is not interleaved.
_WAITING_S = 60
# Stamps that go back this far are those of another recording, joined to the first.
_JUMP_S = 1


@dataclass(frozen=True)
class Sound:
    """A segment of sound.

    Attributes:
        start: index of its first sample; sample n stands n/rate seconds after the first frame.
            Segments never overlap; between them there is silence.
        samples: (n,) float32 mono, full scale ±1.
    """

    start: int
    samples: NDArray[np.float32]


class SoundTrack:
    """Decoder of one sound stream; `take` returns the sound decoded so far.

    Args:
        stream: the sound stream of the file.
        rate: the samples per second of the result.
        channels: names of the channels for frames that bring none, see `declared_channels`.

    Attributes:
        stream, rate: as given.
        broken: the number of packets that could not be decoded.
        left_out: the number of samples that were dropped, being more than a minute ahead.
        heard: the number of samples that were decoded and resampled.
        beyond: the number of those that were beyond ±1.
        went_back: the number of times that the time stamps went back by a second or more.
    """

    def __init__(self, stream: AudioStream, rate: int, channels: Sequence[str] = ()) -> None:
        self.rate = rate
        self.broken = self.left_out = self.heard = self.beyond = self.went_back = 0
        self.stream = stream
        self._mixer = Mixer(channels)
        self._resampler = self._new_resampler()
        self._rate_in: int | None = None
        self._is_mixdown = False
        self._newest: Fraction | None = None
        self._waiting: list[tuple[int, Fraction | None, NDArray[np.float32]]] = []
        self._samples_waiting = 0
        self._next = 0  # index after the last sample returned

    @property
    def not_finite(self) -> int:
        """The number of samples that are no amplitudes, see `events.video.mixdown.Mixer`."""
        return self._mixer.not_finite

    @property
    def waiting(self) -> int:
        """The number of samples that `take` has not returned."""
        return self._samples_waiting

    def _new_resampler(self) -> AudioResampler:
        return av.AudioResampler(format="flt", layout="mono", rate=self.rate)

    def feed(self, packet: Packet) -> None:
        """Decode one packet; an empty packet flushes the decoder."""
        frames: list[AudioFrame] = []
        try:
            frames += [f for f in packet.decode() if isinstance(f, AudioFrame)]
        except FFmpegError:
            self.broken += 1
        try:
            for frame in frames:
                if frame.samples:
                    self._resample(frame)
        except (FFmpegError, ValueError):
            self.broken += 1
        if packet.dts is None and not packet.size:
            self._flush()

    def _resample(self, frame: AudioFrame) -> None:
        """Mix and resample a frame and queue the result.

        Raises:
            FFmpegError, ValueError: the format, layout or rate is not supported.
        """
        if frame.sample_rate < 1:
            raise ValueError("a frame without a sample rate")
        mixed = self._mixer.mix(frame)
        stamp = _stamp(frame)
        jumped = stamp is not None and self._newest is not None and stamp <= self._newest - _JUMP_S
        if jumped or frame.sample_rate != self._rate_in:
            self._flush()
            self._rate_in = frame.sample_rate
        self.went_back += jumped
        self._newest = self._newest if stamp is None else stamp
        self._is_mixdown = frame.layout.nb_channels > 1
        self._queue(self._resampler.resample(mixed))

    def _flush(self) -> None:
        """Queue what the resampler still holds; the next frame may have another rate."""
        self._queue(self._resampler.resample(None))
        self._resampler = self._new_resampler()

    def _queue(self, parts: Iterable[AudioFrame | None]) -> None:
        for part in parts:
            if part is None:  # what a resampler without work to do returns when flushed
                continue
            samples = part.to_ndarray().reshape(-1).astype(np.float32, copy=False)
            self.heard += len(samples)
            beyond = np.abs(samples) > 1
            if beyond.any():
                self.beyond += int(np.count_nonzero(beyond))
                samples = samples.clip(-1, 1) if self._is_mixdown else samples
            if self._samples_waiting + len(samples) > _WAITING_S * self.rate:
                self.left_out += len(samples)
                continue
            self._waiting.append((self.went_back, _stamp(part), samples))
            self._samples_waiting += len(samples)

    def take(self, *origins: Fraction) -> tuple[Sound, ...]:
        """Return the queued sound.

        Args:
            origins: where time 0 is, in seconds of the file: the first frame. If the clock went
                back, one for each part of the file; sound of later parts stays in the queue.
        """
        stretches: list[Sound] = []
        ready = [entry for entry in self._waiting if entry[0] < len(origins)]
        self._waiting = self._waiting[len(ready) :]
        for part, stamp, samples in ready:
            self._samples_waiting -= len(samples)
            start = self._next
            if stamp is not None:
                start = round((stamp - origins[part]) * self.rate)
                if self._next and abs(start - self._next) < _JITTER_S * self.rate:
                    start = self._next
            late = max(self._next - start, 0)
            if late < len(samples):
                stretches.append(Sound(start + late, samples[late:]))
                self._next = start + len(samples)
        return tuple(stretches)


def _stamp(frame: AudioFrame) -> Fraction | None:
    """Return the time of a frame in seconds of the file, None if it has none."""
    return None if frame.pts is None or not frame.time_base else frame.pts * frame.time_base


def lay_out(stretches: Iterable[Sound], samples: int) -> NDArray[np.float32]:
    """Join segments to one array of `samples` samples from the first frame on; gaps are silent.

    Returns:
        (samples,) float32.
    """
    tape = np.zeros(samples, dtype=np.float32)
    for sound in stretches:
        part = tape[sound.start : sound.start + len(sound.samples)]
        part[:] = sound.samples[: len(part)]
    return tape
