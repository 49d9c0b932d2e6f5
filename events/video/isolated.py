"""Reading clips in a child process, with limits on its memory and time (`mdft.isolation`)."""

from __future__ import annotations

import sys
import threading
from dataclasses import asdict, dataclass
from types import TracebackType

from events.video.wanted import Footage, Wanted
from mdft.isolation import Answer, Child, serve

_ARRAYS = ("frames", "sound", "bins")
_LOCAL = threading.local()


@dataclass(frozen=True)
class Limits:
    """Limits for reading one clip.

    Attributes:
        memory_bytes: address space of the process, libraries included.
        seconds: wall-clock time.
    """

    memory_bytes: int = 4 << 30
    seconds: float = 300.0


class IsolatedReader:
    """Runs `events.video.footage.read_footage` in a child process, which ends with this object.

    Args:
        limits: limits for each clip.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._child = Child("events.video.isolated", self.limits.memory_bytes)

    def __enter__(self) -> IsolatedReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if there is one."""
        self._child.close()

    def start(self) -> None:
        """Start the child process, if it is not running, so that it imports its libraries now."""
        self._child.start()

    def read(self, wanted: Wanted) -> Footage:
        """Read one clip.

        Raises:
            UserError: as `read_footage`; or the decoder crashed, ran out of memory or of time.
        """
        header, arrays = self._child.read(seconds=self.limits.seconds, **asdict(wanted))
        return Footage(**arrays, fps=header["fps"], remarks=tuple(header["remarks"]))


def _read(**wanted: object) -> Answer:
    # Imported here: only the child needs PyAV and numba, which take a second to import.
    from events.video.footage import read_footage

    footage = read_footage(Wanted(**wanted))  # type: ignore[arg-type]
    header = {"fps": footage.fps, "remarks": footage.remarks}
    return header, {name: getattr(footage, name) for name in _ARRAYS}


def reader_here() -> IsolatedReader:
    """The reader of this thread: one child process reads all its clips, and ends with it."""
    if not hasattr(_LOCAL, "reader"):
        _LOCAL.reader = IsolatedReader()
    return _LOCAL.reader


if __name__ == "__main__":
    import events.video.footage  # noqa: F401  before the first request, while the parent works

    serve(_read, int(sys.argv[1]))
