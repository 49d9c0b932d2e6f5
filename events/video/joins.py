"""Files in which the clock jumps, such as joined transport streams: one clock for all parts.

A part begins where the decoding time stamps of the frames go back, or jump ahead by more than any
gap in a recording; the limits are those of FFmpeg's program. Its first frame is moved to the end of
the last part, and its sound by the same time.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction

from av.format import ContainerFormat, Flags
from av.packet import Packet

# FFmpeg's limits: formats whose clock may jump, and all others (a still may last for hours).
_BACK_S, _AHEAD_S = Fraction(1, 10), 10
_BACK_ELSEWHERE_S, _AHEAD_ELSEWHERE_S = 1, 30 * 3600
# The most sound packets that wait for frames of their part.
_WAITING = 256


class Joins:
    """Moves the time stamps of packets; every packet of the two streams passes through it once.

    Args:
        format: the file's format.
        tick: the time base of the frames, s.
        period: the nominal period of the frames in ticks, for packets without a duration.

    Attributes:
        end: the declared end of the last frame so far, after it was moved, in ticks of the frames;
            None without stamps.
    """

    def __init__(self, format: ContainerFormat, tick: Fraction, period: int) -> None:
        jumps = bool(format.flags & Flags.ts_discont.value)
        self._limits = (_BACK_S, _AHEAD_S) if jumps else (_BACK_ELSEWHERE_S, _AHEAD_ELSEWHERE_S)
        self._frames = _Jumps(tick, *self._limits)
        self._period = period
        self._offsets = [0]  # of each part, in ticks of the frames
        self.end: int | None = None
        self._sound: _Jumps | None = None
        self._part = 0  # of the sound
        self._waiting: deque[Packet] = deque()

    @property
    def count(self) -> int:
        """The number of jumps of the frames' clock so far."""
        return len(self._offsets) - 1

    def frames(self, packet: Packet) -> None:
        """Move the stamps of a packet of frames."""
        pts, dts = packet.pts, packet.dts
        shown = dts if pts is None else pts
        if shown is None:
            return
        if self._frames.jumped(shown if dts is None else dts) and self.end is not None:
            self._offsets.append(self.end - shown)
        offset = self._offsets[-1]
        end = shown + offset + (packet.duration or self._period)
        self.end = end if self.end is None else max(self.end, end)
        _move(packet, offset)

    def sound(self, packet: Packet) -> list[Packet]:
        """Move the stamps of a packet of sound; return the packets that are ready to be decoded.

        Sound whose clock jumps before that of the frames waits for them: they define the part.
        """
        if self._sound is None:
            self._sound = _Jumps(packet.time_base, *self._limits)
            self._part = self.count
        self._waiting.append(packet)
        last = packet.dts is None and not packet.size
        ready = []
        while self._waiting:
            if self._sound.would_jump(self._waiting[0].dts):
                if self._part < self.count:
                    self._part += 1
                elif not last and len(self._waiting) <= _WAITING:
                    break
            first = self._waiting.popleft()
            self._sound.jumped(first.dts)
            offset = self._offsets[self._part] * self._frames.tick / self._sound.tick
            _move(first, round(offset))
            ready.append(first)
        return ready


class _Jumps:
    """Finds the jumps of the decoding stamps of one stream."""

    def __init__(self, tick: Fraction, back_s: Fraction | int, ahead_s: Fraction | int) -> None:
        self.tick = tick
        self._back, self._ahead = int(-back_s / tick), int(ahead_s / tick)
        self._last: int | None = None

    def would_jump(self, stamp: int | None) -> bool:
        if stamp is None or self._last is None:
            return False
        return not self._back <= stamp - self._last <= self._ahead

    def jumped(self, stamp: int | None) -> bool:
        jumped = self.would_jump(stamp)
        self._last = self._last if stamp is None else stamp
        return jumped


def _move(packet: Packet, ticks: int) -> None:
    if not ticks:
        return
    if packet.dts is not None:
        packet.dts += ticks
    if packet.pts is not None:
        packet.pts += ticks
