"""The time stamps of decoded frames, in the order in which the frames are shown.

A decoder's order is display order, but its frames can have wrong stamps: AVI has stamps in decoding
order, and streams without a container have none. A frame gets the first of these that there is:

1. FFmpeg's best-effort time stamp: its presentation stamp, but the decoding stamp of the packet
   that completed it if it has none, or if decoding stamps have been in order more often;
2. one nominal period after the frame before.

Presentation stamps that are out of order for other reasons are sorted within a window of 16 frames,
the largest reordering of any codec. If the first frames have no stamps or all the same, the frames
are spaced by the nominal period.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, islice

from av.video.frame import VideoFrame

_WINDOW = 16


class Stamps:
    """Stamps for the frames of one stream, in units of its time base.

    Args:
        tick: the time base, s.
        rate: the nominal frame rate, per s.

    Attributes:
        period: the nominal period, in ticks, at least 1.
        untimed: whether the file has no usable stamps.
        missing: the number of frames without a presentation stamp in a file that has stamps.
        reordered: the number of presentation stamps that were out of order.
        by_decoding: whether decoding stamps are used for them.
    """

    def __init__(self, tick: Fraction, rate: Fraction) -> None:
        self._exact = 1 / (rate * tick)
        self.period = max(1, round(self._exact))
        self.untimed = self.by_decoding = False
        self.missing = self.reordered = 0
        self._newest: int | None = None
        self._last: int | None = None

    def of(self, frames: Iterable[VideoFrame]) -> Iterator[tuple[int, VideoFrame]]:
        """Yield each frame with its stamp; stamps increase, unless they cannot be sorted."""
        queue: deque[VideoFrame] = deque()
        stamps: list[int] = []
        for stamp, frame in self._best_effort(frames):
            queue.append(frame)
            heapq.heappush(stamps, stamp)
            if len(queue) > _WINDOW:
                yield heapq.heappop(stamps), queue.popleft()
        while queue:
            yield heapq.heappop(stamps), queue.popleft()

    def _best_effort(self, frames: Iterable[VideoFrame]) -> Iterator[tuple[int, VideoFrame]]:
        frames = iter(frames)
        # FFmpeg decides frame by frame; with the first frames together, they have one clock.
        head = deque(islice(frames, _WINDOW + 1))
        shown, decoded = _Faults(), _Faults()
        for frame in head:
            shown.see(frame.pts)
            decoded.see(frame.dts)
        self.untimed = len(head) > 1 and not (shown.increase or decoded.increase)
        for i, frame in enumerate(chain(_emptied(head), frames)):
            if self.untimed:
                yield round(i * self._exact), frame
                continue
            if i > _WINDOW:
                shown.see(frame.pts)
                decoded.see(frame.dts)
            by_decoding = decoded.increase and decoded.count < shown.count
            yield self._stamp(frame, by_decoding=by_decoding), frame

    def _stamp(self, frame: VideoFrame, *, by_decoding: bool) -> int:
        pts, dts = frame.pts, frame.dts
        self.by_decoding |= by_decoding
        if pts is None:
            self.missing += 1
        elif self._newest is None or pts > self._newest:
            self._newest = pts
        else:
            self.reordered += pts < self._newest
        # The last frames are completed by no packet; their presentation stamps are wrong, too.
        stamp = dts if by_decoding or pts is None else pts
        if stamp is None:
            stamp = 0 if self._last is None else self._last + self.period
        self._last = stamp if self._last is None or by_decoding else max(self._last, stamp)
        return stamp


def _emptied(frames: deque[VideoFrame]) -> Iterator[VideoFrame]:
    """Yield frames without keeping them, so that the decoder can use their memory again."""
    while frames:
        yield frames.popleft()


class _Faults:
    """Counts the stamps that do not increase.

    Attributes:
        count: their number.
        increase: whether any stamp has increased.
    """

    def __init__(self) -> None:
        self.count = 0
        self.increase = False
        self._last: int | None = None

    def see(self, stamp: int | None) -> None:
        if stamp is None:
            return
        if self._last is not None:
            self.count += stamp <= self._last
            self.increase |= stamp > self._last
        self._last = stamp
