"""The eight orientations of a display matrix, as FFmpeg's program shows them."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.packet import Packet
from PIL import Image

from events.convert import main
from events.files.io import read_events
from events.video.clip import Clip
from events.video.footage import Wanted, read_footage
from events.video.orientation import Orientation, orientation_of
from tests.events.films import yuv_frame

WIDTH, HEIGHT = 64, 48
# The four numbers a, b, c, d of the matrix, and FFmpeg's filters for it (`ffmpeg -autorotate`,
# checked with FFmpeg 9.0), here in NumPy.
SHOWN = {
    (1, 0, 0, 1): lambda image: image,
    (-1, 0, 0, 1): np.fliplr,  # hflip
    (1, 0, 0, -1): np.flipud,  # vflip
    (-1, 0, 0, -1): lambda image: np.fliplr(np.flipud(image)),  # hflip,vflip
    (0, 1, -1, 0): lambda image: np.rot90(image, -1),  # transpose=clock
    (0, -1, 1, 0): lambda image: np.rot90(image, 1),  # transpose=cclock
    (0, 1, 1, 0): lambda image: image.T,  # transpose=cclock_flip
    (0, -1, -1, 0): lambda image: np.rot90(image.T, 2),  # transpose=clock_flip
}
# EXIF's numbers for the same orientations.
EXIF: dict[int, tuple[int, int, int, int]] = dict(zip((1, 2, 4, 3, 6, 8, 5, 7), SHOWN, strict=True))


def scene(shift: int = 0) -> np.ndarray:
    """Four quarters of different brightness, so that no two orientations are equal."""
    image = np.full((HEIGHT, WIDTH), 60, np.uint8)
    image[:24, :32], image[24:, :32], image[24:, 32:] = 120, 230, 180
    return np.roll(image, shift, axis=1)


def by_coordinates(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """Move each pixel (p, q) to (a·p + c·q, b·p + d·q), counted from the smallest of each."""
    a, b, c, d = matrix
    height, width = image.shape
    target = {
        (a * p + c * q, b * p + d * q): image[q, p] for q in range(height) for p in range(width)
    }
    columns, rows = (sorted({place[i] for place in target}) for i in (0, 1))
    return np.array([[target[column, row] for column in columns] for row in rows])


def write(path: Path, matrix: tuple[float, float, float, float]) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25, options={"q": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.color_range = 1
        for shift in (0, 16, 32):
            container.mux(stream.encode(yuv_frame(scene(shift))))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    begin = data.index(b"tkhd") + 44
    a, b, c, d = (round(65536 * n) for n in matrix)
    data[begin : begin + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("matrix", SHOWN)
def test_frames_are_shown_as_the_matrix_says(
    tmp_path: Path, matrix: tuple[int, int, int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = SHOWN[matrix](scene()).astype(float)
    assert np.array_equal(by_coordinates(scene(), matrix), expected)
    path = write(tmp_path / "a.mp4", matrix)
    with Clip(path) as clip:
        first = next(iter(clip))
        assert (clip.width, clip.height) == expected.shape[::-1]
    assert first.plane.flags.c_contiguous and np.abs(first.plane - expected).max() < 8
    full = (expected - 16) * 255 / 219
    assert np.abs(first.rgb()[..., 1] - full).max() < 12
    footage = read_footage(Wanted(str(path), frame_size=48))
    last = (SHOWN[matrix](scene(32)).astype(float) - 16) * 255 / 219  # shown at 1/8 s
    assert np.abs(footage.frames[0, ..., 1] - last).max() < 12
    assert main([str(path), str(tmp_path / "a.h5"), "--preview", str(tmp_path / "p.mp4")]) == 0
    shown = capsys.readouterr().out
    name, remarked = clip.orientation.name, matrix != (1, 0, 0, 1)
    assert bool(name) == ("as the file declares" in " ".join(shown.split())) == remarked
    assert (f"frames {name}, as the file declares" in footage.remarks) == remarked
    found, metadata = read_events(tmp_path / "a.h5")
    assert metadata.sensor_size[:2] == expected.shape[::-1] and len(found) > 1000


def test_eight_matrices_have_eight_names(tmp_path: Path) -> None:
    names = set()
    for matrix in SHOWN:
        with Clip(write(tmp_path / "a.mp4", matrix)) as clip:
            names.add(clip.orientation.name)
    assert len(names) == 8


@pytest.mark.parametrize(
    "matrix,nearest",
    [
        ((0.98, 0.17, -0.17, 0.98), (1, 0, 0, 1)),
        ((-0.17, 0.98, 0.98, 0.17), (0, 1, 1, 0)),
        ((0, 0, 0, 0), (1, 0, 0, 1)),
    ],
)
def test_another_matrix_counts_as_the_nearest(
    tmp_path: Path,
    matrix: tuple[float, float, float, float],
    nearest: tuple[float, float, float, float],
) -> None:
    with (
        Clip(write(tmp_path / "a.mp4", matrix)) as clip,
        Clip(write(tmp_path / "b.mp4", nearest)) as plain,
    ):
        assert clip.orientation == plain.orientation


@pytest.mark.parametrize("number", sorted(EXIF))
def test_a_photo_camera_writes_it_into_each_jpeg(tmp_path: Path, number: int) -> None:
    """Motion JPEG with EXIF, side data that PyAV does not know."""
    exif = Image.Exif()
    exif[0x0112] = number
    file = io.BytesIO()
    Image.fromarray(scene()).save(file, "JPEG", exif=exif, quality=95)
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        stream.codec_context.color_range = 2
        for i in range(3):
            packet = Packet(file.getvalue())
            packet.stream, packet.pts, packet.dts = stream, i, i
            packet.is_keyframe = True
            container.mux(packet)
    with av.open(str(tmp_path / "a.avi")) as container:
        frame = next(container.decode(video=0))
        if number > 1 and not frame.rotation and orientation_of(frame) == Orientation():
            pytest.skip("this FFmpeg ignores the orientation in EXIF")
    with Clip(tmp_path / "a.avi") as clip:
        expected = SHOWN[EXIF[number]](scene()).astype(int)
        for found in clip:
            assert np.abs(found.luma - expected).max() < 12


def test_the_mirrored_clip_of_others(shared_data: Path) -> None:
    path = shared_data / "bugs" / "mirrored_hflip.mp4"
    if not path.exists():
        pytest.skip(f"real data absent: no {path.name}")
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="gray")
    with Clip(path) as clip:
        shown = next(iter(clip)).luma
    assert np.abs(shown.astype(int) - stored[:, ::-1]).mean() < 2
