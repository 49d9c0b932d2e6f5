"""What was unusual about a video file, in words for a user."""

from __future__ import annotations

from events.video.clip import Clip


def remarks_of(clip: Clip, last_us: int) -> tuple[str, ...]:
    """What was unusual about a clip, one remark each.

    Args:
        clip: read to its end.
        last_us: time of its last frame, µs.
    """
    track = clip.track
    remarks = {
        f"{clip.reordered} time stamps were out of order and have been sorted": clip.reordered,
        f"{clip.dropped} frames left out: their time stamp did not increase": clip.dropped,
        f"{clip.videos} video streams in the file: took the first": clip.videos > 1,
        f"pictures turned by {90 * clip.turns}° counter-clockwise, as the file says": clip.turns,
        f"{clip.bits} bits a sample cut to 8": clip.bits > 8,
        f"the clip declares {clip.duration_us / 1e6:.1f} s but its frames end at "
        f"{last_us / 1e6:.1f} s: cut short?": last_us < 0.9 * clip.duration_us - 1_000_000,
    }
    if track is not None:
        remarks |= {
            f"{track.broken} packets of sound could not be decoded": track.broken,
            f"{track.left_out / track.rate:.0f} s of sound, more than a minute ahead of the "
            "pictures, left out": track.left_out,
        }
    return tuple(text for text, applies in remarks.items() if applies)
