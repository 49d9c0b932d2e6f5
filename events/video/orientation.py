"""The orientation in which a file's frames are shown: one of eight, from its display matrix.

The matrix (a, b, u, c, d, v, x, y, w) maps column p and row q of a decoded frame to column
a·p + c·q and row b·p + d·q. Eight matrices map the axes to the axes: four rotations and four
reflections. Another one, such as a rotation by 45°, counts as the nearest of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from numpy.typing import NDArray

_NAMES = {
    (False, False, False): "",
    (False, True, False): "mirrored left to right",
    (False, False, True): "mirrored top to bottom",
    (False, True, True): "rotated by 180°",
    (True, False, False): "mirrored at the falling diagonal",
    (True, True, False): "rotated by 90° clockwise",
    (True, False, True): "rotated by 90° counter-clockwise",
    (True, True, True): "mirrored at the rising diagonal",
}
# FFmpeg's kinds of side data that PyAV does not know are those after the last that it knows.
_LAST_KNOWN = max(kind.value for kind in Type)
_MOST_UNKNOWN = 8


@dataclass(frozen=True)
class Orientation:
    """How a decoded frame becomes an upright one.

    Attributes:
        transposed: rows become columns, before anything else.
        across: the order of the columns is reversed.
        down: the order of the rows is reversed.
    """

    transposed: bool = False
    across: bool = False
    down: bool = False

    @property
    def name(self) -> str:
        """The orientation in words, such as ``mirrored left to right``; empty for none."""
        return _NAMES[self.transposed, self.across, self.down]

    def upright(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Apply it to an image (H, W) or (H, W, 3); contiguous if anything changes."""
        if self == _NONE:
            return image
        if self.transposed:
            image = image.swapaxes(0, 1)
        if self.across:
            image = image[:, ::-1]
        if self.down:
            image = image[::-1]
        return np.ascontiguousarray(image)


_NONE = Orientation()


def orientation_of(frame: VideoFrame) -> Orientation:
    """Return the orientation that a decoded frame declares."""
    try:
        side_data: Any = frame.side_data
    except ValueError:  # PyAV lists no side data if it does not know the kind of one of them
        side_data = _with_known_side_data(frame).side_data
    try:
        return _from_matrix(bytes(side_data["DISPLAYMATRIX"]))
    except KeyError:
        return _NONE


@lru_cache(maxsize=8)
def _from_matrix(matrix: bytes) -> Orientation:
    a, b, _, c, d = np.frombuffer(matrix, dtype=np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transposed=True, across=c < 0, down=b < 0)
    return Orientation(across=a < 0, down=d < 0)


def _with_known_side_data(frame: VideoFrame) -> VideoFrame:
    """Return the frame without side data of kinds that PyAV does not know, such as EXIF's."""
    graph = Graph()
    nodes = [
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        ),
        *(
            graph.add("sidedata", f"mode=delete:type={_LAST_KNOWN + i}")
            for i in range(1, 1 + _MOST_UNKNOWN)
        ),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*nodes).configure()
    graph.vpush(frame)
    return cast(VideoFrame, graph.vpull())
