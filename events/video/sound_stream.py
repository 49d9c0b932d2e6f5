"""The choice of a file's sound stream: the first that can be decoded and mixed to mono."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av
import av.logging
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet

from events.video.mixdown import declared_channels
from events.video.sound import SoundTrack

# A stream from which nothing has been decoded when the others are so far is not used.
_TRIAL_S = 60


@dataclass(frozen=True)
class ChosenSound:
    """The result of the choice.

    Attributes:
        track: the decoder of the chosen stream; None if no stream can be used.
        number: the position of that stream among the sound streams, from 1; 0 if there is none.
        refused: the streams before it that cannot be used, and why, such as
            ``stream 1 (apac): no decoder``.
    """

    track: SoundTrack | None = None
    number: int = 0
    refused: tuple[str, ...] = field(default=())


def choose_sound(
    container: InputContainer, rate: int, reopen: Callable[[], InputContainer]
) -> ChosenSound:
    """Choose the sound stream of a file.

    If there are several, they are decoded in a second instance of the file until the first of them
    gives a sample; that instance is read for a minute at most.

    Args:
        container: the file, of which nothing has been decoded yet.
        rate: the samples per second of the track.
        reopen: opens the file again.
    """
    streams = container.streams.audio
    usable = [i for i, stream in enumerate(streams) if stream.codec_context is not None]
    chosen = usable[0] if usable else None
    if len(usable) > 1:
        with reopen() as trial:
            chosen = _first_with_sound(trial, usable, rate)
    refused = tuple(
        f"stream {i + 1} ({_codec(container, streams[i])}): "
        + ("cannot be decoded" if i in usable else "no decoder")
        for i in range(len(streams) if chosen is None else chosen)
    )
    if chosen is None:
        return ChosenSound(refused=refused)
    return ChosenSound(_track(streams[chosen], rate), chosen + 1, refused)


def _track(stream: AudioStream, rate: int) -> SoundTrack:
    return SoundTrack(stream, rate, declared_channels(stream))


def _first_with_sound(
    container: InputContainer, candidates: Sequence[int], rate: int
) -> int | None:
    """Return the first of the sound streams from which samples can be decoded."""
    tracks = {i: _track(container.streams.audio[i], rate) for i in candidates}
    by_index = {track.stream.index: track for track in tracks.values()}
    first, begin = tracks[candidates[0]], None
    try:
        for packet in container.demux([track.stream for track in tracks.values()]):
            track = by_index[packet.stream.index]
            if not track.heard:
                track.feed(packet)
            now = _seconds(packet)
            begin = now if begin is None else begin
            if first.heard or (now is not None and begin is not None and now > begin + _TRIAL_S):
                break
    except FFmpegError:  # the file is damaged there; what was decoded before it counts
        pass
    return next((i for i, track in tracks.items() if track.heard), None)


def _seconds(packet: Packet) -> Fraction | None:
    return None if packet.dts is None else packet.dts * packet.time_base


def _codec(container: InputContainer, stream: AudioStream) -> str:
    """Return FFmpeg's name of a stream's codec, or its tag in the file if FFmpeg has no name.

    PyAV has no name of a codec without a decoder; FFmpeg's description of the file has, which is
    a message of level INFO.
    """
    if stream.codec_context is not None:
        return stream.codec_context.name
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        described: str = container.dumps_format()  # pyright: ignore[reportAttributeAccessIssue]
    finally:
        av.logging.set_level(level)
    found = re.search(
        rf"Stream #0:{stream.index}\b.*?: Audio: (\w+)(?: \((.+?) / 0x)?", described
    )
    if found is None:
        return "unknown codec"
    return found[2] if found[1] == "none" and found[2] else found[1]
