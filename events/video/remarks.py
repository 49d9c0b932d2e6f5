"""Remarks for the user about unusual properties of a video file."""

from __future__ import annotations

from events.video.clip import Clip
from events.video.losses import counted

_LONG_GAP_S = 10


def remarks_of(clip: Clip, last_us: int) -> tuple[str, ...]:
    """Return remarks about unusual properties of a clip.

    Args:
        clip: a clip that has been read to its end.
        last_us: the time of its last frame, µs.
    """
    track, stamps = clip.track, clip.stamps
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
    if track is not None:
        remarks |= {
            f"{track.broken} packets of sound could not be decoded": track.broken,
            f"{track.left_out / track.rate:.0f} s of sound dropped: more than a minute ahead "
            "of the frames": track.left_out,
        }
    return clip.damage + tuple(text for text, applies in remarks.items() if applies)
