"""Remarks for the user about unusual properties of a video file."""

from __future__ import annotations

from events.video.clip import Clip
from events.video.losses import counted

_LONG_GAP_S = 10

# Compressed sound overshoots full scale in single samples, which needs no remark.
_MOST_BEYOND = 0.01


def remarks_of(clip: Clip, last_us: int) -> tuple[str, ...]:
    """Return remarks about unusual properties of a clip.

    Args:
        clip: a clip that has been read to its end.
        last_us: the time of its last frame, µs.
    """
    stamps = clip.stamps
    how = "FFmpeg's best-effort ones are used" if stamps.by_decoding else "sorted"
    begin, end = (time / 1e6 for time in clip.gap_us)
    remarks = {
        f"{counted(clip.jumps, 'jump')} of the file's clock: the parts follow one another": (
            clip.jumps
        ),
        f"no time stamps in the file: {clip.fps or 25:g} frames per second": stamps.untimed,
        f"{counted(stamps.missing, 'time stamp')} missing: FFmpeg's best-effort ones are used": (
            stamps.missing
        ),
        f"{counted(stamps.reordered, 'time stamp')} out of order: {how}": stamps.reordered,
        f"{counted(clip.dropped, 'frame')} dropped: the time stamps did not increase": clip.dropped,
        f"no frames from {begin:.1f} to {end:.1f} s": end - begin > _LONG_GAP_S,
        f"{clip.videos} video streams in the file: the first is used": clip.videos > 1,
        f"frames {clip.orientation.name}, as the file declares": clip.orientation.name,
        f"{clip.bits} bits per sample, reduced to 8": clip.bits > 8,
        f"the clip declares {clip.duration_us / 1e6:.1f} s but its frames end at "
        f"{last_us / 1e6:.1f} s: is the file incomplete?": not clip.jumps
        and last_us < 0.9 * clip.duration_us - 1_000_000,
    }
    texts = tuple(text for text, applies in remarks.items() if applies)
    return clip.damage + texts + _remarks_of_sound(clip)


def _remarks_of_sound(clip: Clip) -> tuple[str, ...]:
    """Return remarks about the choice of the sound stream and what was lost of it."""
    sound, track = clip.sound, clip.sound.track
    refused = ", ".join(sound.refused)
    if track is None:
        return (f"no sound stream can be decoded ({refused}): taken as silent",) if refused else ()
    remarks = {
        f"sound stream {sound.number} is used ({refused})": refused,
        f"{clip.sounds} sound streams in the file: the first is used": clip.sounds > 1
        and not refused,
        f"sound stream {sound.number} ({sound.name}): nothing decoded, taken as silent": (
            not track.heard
        ),
        f"{track.broken} packets of sound could not be decoded": track.broken,
        f"{track.not_finite} samples of sound are no amplitudes (NaN, infinite): taken as 0": (
            track.not_finite
        ),
        f"{track.beyond / max(track.heard, 1):.0%} of the sound is beyond full scale": track.beyond
        > _MOST_BEYOND * track.heard,
        f"{track.waiting / track.rate:.1f} s of sound dropped: its time stamps went back": (
            track.went_back and track.waiting
        ),
        f"{track.left_out / track.rate:.0f} s of sound dropped: more than a minute ahead "
        "of the frames": track.left_out,
    }
    return tuple(text for text, applies in remarks.items() if applies)
