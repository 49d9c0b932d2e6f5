"""The choice of a file's sound stream: the first that can be decoded and mixed to mono."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
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
        name: the names of codec and layout of the chosen stream.
    """

    track: SoundTrack | None = None
    number: int = 0
    refused: tuple[str, ...] = ()
    name: str = ""


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
    tracks = _tracks(container, rate)
    chosen = next(iter(tracks), None)
    if len(tracks) > 1:
        with reopen() as trial:
            chosen = _first_with_sound(trial, _tracks(trial, rate))
    refused = tuple(
        f"stream {i + 1} ({_name(tracks[i]) if i in tracks else _tag(container, streams[i])}): "
        + ("nothing decoded" if i in tracks else "no decoder")
        for i in range(len(streams) if chosen is None else chosen)
    )
    if chosen is None:
        return ChosenSound(refused=refused)
    return ChosenSound(tracks[chosen], chosen + 1, refused, _name(tracks[chosen]))


def _tracks(container: InputContainer, rate: int) -> dict[int, SoundTrack]:
    """Return a track for each sound stream that has a decoder, by its position among them."""
    return {
        i: SoundTrack(stream, rate, declared_channels(stream))
        for i, stream in enumerate(container.streams.audio)
        if stream.codec_context is not None
    }


def _first_with_sound(container: InputContainer, tracks: dict[int, SoundTrack]) -> int | None:
    """Return the position of the first track for which samples can be decoded."""
    by_index = {track.stream.index: track for track in tracks.values()}
    first, begin = next(iter(tracks.values())), None
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


def _name(track: SoundTrack) -> str:
    """Return FFmpeg's names of a track's codec and layout."""
    context = track.stream.codec_context
    return f"{context.name}, {context.layout.name if context.layout.nb_channels else 'no channels'}"


def _tag(container: InputContainer, stream: AudioStream) -> str:
    """Return FFmpeg's name of a codec without a decoder, or its tag in the file.

    PyAV does not give it; FFmpeg's description of the file does, a message of level INFO.
    """
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        described: str = container.dumps_format()  # pyright: ignore[reportAttributeAccessIssue]
    finally:
        av.logging.set_level(level)
    found = re.search(rf"Stream #0:{stream.index}\b.*?: Audio: (\w+)(?: \((.+?) / 0x)?", described)
    if found is None:
        return "unknown codec"
    return found[2] if found[1] == "none" and found[2] else found[1]
