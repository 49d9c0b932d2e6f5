"""Decode a file's frames, and feed its sound, in one pass; what cannot be decoded is skipped.

A decoder with several threads reports an error late, and frames that it has finished by then are
lost, how many depends on the number of threads. After the first error the file is therefore decoded
again from its start on one thread, which gives the same frames on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from fractions import Fraction

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from events.video.joins import Joins
from events.video.losses import Losses
from events.video.sound import SoundTrack
from mdft.errors import reason


class Decoding:
    """One pass over a file.

    Args:
        container: the open file.
        stream: its stream of frames.
        track: the decoder of one of its sound streams, if sound is wanted.
        period: the nominal period of the frames, in ticks of the stream's time base.
        reopen: opens the file again.

    Attributes:
        losses: the account of what could not be decoded.
        joins: the jumps of the file's clock.
        unread: why the file could not be read to its end; empty if it could.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        track: SoundTrack | None,
        period: int,
        reopen: Callable[[], InputContainer],
    ) -> None:
        self._containers = [container]
        self._index, self._tick = stream.index, stream.time_base or Fraction(1, 1_000_000)
        self._track, self._period, self._reopen = track, period, reopen
        self._sound = None if track is None else track.stream.index
        self._fed = 0
        self._begin()

    def close(self) -> None:
        """Close the file."""
        for container in self._containers:
            container.close()

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the frames in the decoder's order."""
        self._stream.thread_type = "AUTO"
        complete = yield from self._pass(skip=0, fed=0, go_on=False)
        if complete:
            return
        skip, fed = self.losses.decoded, self._fed
        self._containers.append(self._reopen())
        self._begin()
        self._stream.thread_type = "NONE"
        self._stream.codec_context.thread_count = 1
        yield from self._pass(skip, fed, go_on=True)

    def _begin(self) -> None:
        container = self._containers[-1]
        stream = container.streams[self._index]
        assert isinstance(stream, VideoStream)
        self._stream = stream
        # Of other formats the index has only some of the frames.
        listed = len(stream.index_entries) if container.format.name.startswith("mov") else 0
        self.losses = Losses(stream.codec_context.codec.canonical_name, listed)
        self.joins = Joins(container.format, self._tick, self._period)
        self.unread = ""
        self._fed = 0

    def _pass(self, skip: int, fed: int, *, go_on: bool) -> Generator[VideoFrame, None, bool]:
        """Yield all frames but the first `skip`, feed all sound but the first `fed` packets.

        Returns:
            whether the pass is complete; it ends at the first error unless it may `go_on`.
        """
        for packet in self._packets(fed):
            self.losses.sent(packet)
            try:
                frames = packet.decode()
            except FFmpegError:
                if not go_on:
                    return False
                self.losses.failed(packet)
                continue
            for frame in frames:
                assert isinstance(frame, VideoFrame)
                self.losses.came(frame)
                if self.losses.decoded > skip:
                    yield frame
        self.losses.ended = True
        return True

    def _packets(self, fed: int) -> Iterator[Packet]:
        """Yield the packets of frames, the last of which flushes; feed those of sound."""
        for packet in self._demux():
            if packet.stream_index == self._index:
                self.joins.frames(packet)
                yield packet
                continue
            for ready in self.joins.sound(packet):
                self._feed(ready, fed)

    def _demux(self) -> Iterator[Packet]:
        """Yield the packets of both streams, at the end an empty one of each."""
        container = self._containers[-1]
        chosen = [self._index] if self._sound is None else [self._index, self._sound]
        streams = [container.streams[i] for i in chosen]
        try:
            yield from container.demux(streams)
        except FFmpegError as error:
            self.unread = reason(error)
            for stream in streams:
                packet = Packet()
                packet.stream, packet.time_base = stream, stream.time_base or self._tick
                yield packet

    def _feed(self, packet: Packet, fed: int) -> None:
        self._fed += 1
        assert self._track is not None
        if self._fed > fed:
            self._track.feed(packet)
            return
        with suppress(FFmpegError):
            packet.decode()  # the decoder's state depends on earlier packets
