"""Remarks for the user about unusual properties of a video file."""

from __future__ import annotations

from events.video.clip import Clip

# Compressed sound overshoots full scale in single samples, which needs no remark.
_MOST_BEYOND = 0.01


def remarks_of(clip: Clip, last_us: int) -> tuple[str, ...]:
    """Return remarks about unusual properties of a clip.

    Args:
        clip: a clip that has been read to its end.
        last_us: the time of its last frame, µs.
    """
    remarks = {
        f"{clip.reordered} time stamps were out of order and have been sorted": clip.reordered,
        f"{clip.dropped} frames dropped: their time stamps did not increase": clip.dropped,
        f"{clip.videos} video streams in the file: the first is used": clip.videos > 1,
        f"frames rotated by {90 * clip.turns}° counter-clockwise, as the file declares": clip.turns,
        f"{clip.bits} bits per sample, reduced to 8": clip.bits > 8,
        f"the clip declares {clip.duration_us / 1e6:.1f} s but its frames end at "
        f"{last_us / 1e6:.1f} s: is the file incomplete?": last_us
        < 0.9 * clip.duration_us - 1_000_000,
    }
    texts = tuple(text for text, applies in remarks.items() if applies)
    return texts + _remarks_of_sound(clip)


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
