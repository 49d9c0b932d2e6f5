"""How many frames of a stream could not be decoded, and where.

A packet that the decoder refuses is lost. So are packets that it accepts without ever giving their
frame, such as those that refer to a lost one; this is known only of codecs in which each packet is
one frame. Interlaced streams may have two packets per frame: of them only refusals are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from av.packet import Packet
from av.video.frame import VideoFrame

# Codecs in which each packet is one frame, but for the exceptions of `_shows`.
_ONE_FRAME = frozenset(
    (
        *("h264", "hevc", "vvc", "vp8", "vp9", "av1", "mpeg1video", "mpeg2video", "mpeg4"),
        *("mjpeg", "ffv1", "prores", "dnxhd", "rawvideo", "png", "gif", "apng"),
    )
)
# FFmpeg's limit for MPEG-4 packets that only say that nothing has changed.
_NOT_CODED_BYTES = 19
_MOST_PLACES = 3


class Losses:
    """The account of one stream.

    Args:
        codec: FFmpeg's name of the codec.
        listed: the number of frames in the file's index, 0 if it has none.

    Attributes:
        decoded: the number of decoded frames.
        refused: the number of packets that the decoder refused.
        flawed: the number of decoded frames in which the decoder concealed an error.
        ended: whether the stream has been read to its end.
    """

    def __init__(self, codec: str, listed: int) -> None:
        self._codec, self._listed = codec, listed
        self.decoded = self.refused = self.flawed = 0
        self.ended = False
        self._read = self._packets = 0  # all packets, and those that should become a frame
        self._interlaced = False
        self._open: set[int] = set()  # stamps of the packets whose frame has not come
        self._refused_at: list[int] = []

    def sent(self, packet: Packet) -> None:
        """Count a packet that is given to the decoder."""
        self._read += bool(packet.size) or packet.dts is not None
        if not packet.size or packet.is_discard:
            return
        self._packets += 1
        if packet.pts is not None and self._codec in _ONE_FRAME and _shows(self._codec, packet):
            self._open.add(packet.pts)

    def failed(self, packet: Packet) -> None:
        """Count a packet that the decoder refused."""
        self.refused += 1
        if packet.pts is not None:
            self._refused_at.append(packet.pts)

    def came(self, frame: VideoFrame) -> None:
        """Count a decoded frame."""
        self.decoded += 1
        self.flawed += frame.is_corrupt
        self._interlaced |= frame.interlaced_frame
        if frame.pts is not None:
            self._open.discard(frame.pts)

    def stamps(self, shown: int) -> list[int]:
        """Return the stamps of the lost frames, sorted.

        Args:
            shown: the stamp of the last frame that was shown; unless the stream has ended, only
                frames before it count, since later ones may still come.
        """
        lost = set(self._refused_at) if self._interlaced else self._open.union(self._refused_at)
        return sorted(lost if self.ended else (stamp for stamp in lost if stamp < shown))

    def count(self, shown: int) -> int:
        """Return the number of lost frames; see `stamps`."""
        if not self.ended:
            return len(self.stamps(shown))
        lost = max(len(self.stamps(shown)), self.refused)
        # Frames of the index without a packet are lost, too: the file is cut short.
        cut = max(self._listed - self._read, 0)
        return min(lost, max(self._packets - self.decoded, 0)) + cut


def _shows(codec: str, packet: Packet) -> bool:
    """Return whether a packet is a frame that is shown."""
    if codec == "mpeg4":
        return packet.size > _NOT_CODED_BYTES
    if codec == "vp8":
        return bool(memoryview(packet)[0] & 0x10)
    if codec == "vp9":  # a hidden frame, outside of a superframe
        data = memoryview(packet)
        return bool(data[0] & 0x0A) or data[-1] & 0xE0 == 0xC0 or data[0] & 0x30 == 0x30
    return True


def places(stamps: Sequence[int], first: int, last: int, tick: Fraction, period: int) -> str:
    """Describe where stamps are, such as ``at 1.8 s, from 2.0 to 2.3 s``.

    Args:
        stamps: sorted.
        first: the stamp of the first frame that is shown; times count from it.
        last: the stamp of the last frame that is shown.
        tick: the time base, s.
        period: the nominal period, in ticks.
    """
    runs: list[list[int]] = []
    for stamp in stamps:
        if runs and stamp - runs[-1][1] <= 1.5 * period:
            runs[-1][1] = stamp
        else:
            runs.append([stamp, stamp])
    texts = []
    for begin, end in runs:
        if end < first:
            text = "before the first frame shown"
        elif begin > last:
            text = "after the last frame shown"
        else:
            a, b = (f"{float((stamp - first) * tick):.1f}" for stamp in (begin, end))
            text = f"at {a} s" if begin == end else f"from {a} to {b} s"
        if text not in texts:
            texts.append(text)
    more = len(texts) - _MOST_PLACES
    others = f" and {counted(more, 'other place')}" if more > 0 else ""
    return ", ".join(texts[:_MOST_PLACES]) + others


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 frame`` or ``2 frames``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
