"""Reading clips in a process of their own, with limits on its memory and time.

Decoders crash, hang and fill the memory on damaged files; then only that process is lost, the
clip is named, and the next one gets a new process. One process serves many clips:
``python -m events.video.isolated`` reads a line of JSON a clip and answers with arrays in NumPy's
own format, never with a pickle, for it has seen files from strangers.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from events.video.footage import Footage, Wanted, read_footage
from mdft.errors import UserError, reason

_ARRAYS = ("pictures", "sound", "bins")
_LENGTH = 8


@dataclass(frozen=True)
class Limits:
    """Of one clip.

    Attributes:
        memory_bytes: address space of the process, libraries included.
        seconds: of wall time.
    """

    memory_bytes: int = 4 << 30
    seconds: float = 300.0


class IsolatedReader:
    """Reads clips as `events.video.footage.read_footage` does; its process ends with it.

    Args:
        limits: of each clip.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._process: subprocess.Popen[bytes] | None = None

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
        process, self._process = self._process, None
        if process is not None:
            _end(process)

    def read(self, wanted: Wanted) -> Footage:
        """Read one clip.

        Raises:
            UserError: as `read_footage`; or the decoder crashed, ran out of memory or of time.
        """
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        late = threading.Event()
        # The process works in a folder of its own.
        asked = replace(wanted, path=os.path.abspath(wanted.path))

        def stop() -> None:
            late.set()
            process.kill()

        watch = threading.Timer(self.limits.seconds, stop)
        watch.start()
        try:
            process.stdin.write(json.dumps(asdict(asked)).encode() + b"\n")
            process.stdin.flush()
            answer = _receive(process.stdout)
        except (BrokenPipeError, EOFError) as error:
            raise UserError(f"{wanted.path}: {self._lost(late.is_set())}") from error
        except BaseException:
            self.close()  # interrupted: its answer must not be taken for that of the next clip
            raise
        finally:
            watch.cancel()
        header = json.loads(answer[0].tobytes())
        if "error" in header:
            raise UserError(header["error"].replace(asked.path, wanted.path))
        pictures, sound, bins = answer[1:]
        return Footage(pictures, sound, bins, header["fps"], tuple(header["remarks"]))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:  # killed between two clips
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "events.video.isolated", str(self.limits.memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=Path(__file__).parents[2],
            )
            finalize(self, _end, self._process)
        return self._process

    def _lost(self, late: bool) -> str:
        """Say how the process ended, and forget it."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        code = self._process.returncode
        self.close()
        if late:
            return f"took more than {self.limits.seconds:g} s to read; skipped"
        how = f"signal {-code}" if code is not None and code < 0 else f"status {code}"
        return f"the decoder crashed on it ({how}); the file is damaged, or needs more memory"


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # a request that nobody reads any more
                pipe.close()
    process.wait()


def _receive(stream: Any) -> list[NDArray[Any]]:
    """Read one answer: its length, then arrays.

    Raises:
        EOFError: the stream ends before the answer does.
    """
    size = int.from_bytes(stream.read(_LENGTH), "little")
    content = stream.read(size)
    if size == 0 or len(content) < size:
        raise EOFError
    file, arrays = io.BytesIO(content), []
    while file.tell() < size:
        arrays.append(np.load(file, allow_pickle=False))
    return arrays


def _send(stream: BinaryIO, header: dict[str, Any], arrays: list[NDArray[Any]]) -> None:
    content = io.BytesIO()
    for array in (np.frombuffer(json.dumps(header).encode(), dtype=np.uint8), *arrays):
        np.save(content, array, allow_pickle=False)
    data = content.getbuffer()
    stream.write(len(data).to_bytes(_LENGTH, "little"))
    stream.write(data)
    stream.flush()


def _answer(stream: BinaryIO, wanted: Wanted) -> None:
    try:
        footage = read_footage(wanted)
    except (UserError, OSError) as error:
        _send(stream, {"error": " ".join(str(error).split())}, [])
    except (MemoryError, ImportError):  # a library that is loaded late has no room either
        text = f"{wanted.path}: needs more memory than it is given to read"
        _send(stream, {"error": text}, [])
    except Exception as error:  # one clip must not end the night's work
        _send(stream, {"error": f"{wanted.path}: {type(error).__name__}: {reason(error)}"}, [])
    else:
        header = {"fps": footage.fps, "remarks": footage.remarks}
        _send(stream, header, [getattr(footage, name) for name in _ARRAYS])


def serve(memory_bytes: int) -> None:
    """Answer requests until the input ends: what runs in the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's, meant for the one who asked
    with suppress(ImportError, ValueError, OSError):  # where a system knows no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Answers go out by a private name: a library that prints must not mix with them.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        _answer(answers, Wanted(**json.loads(line)))


if __name__ == "__main__":
    serve(int(sys.argv[1]))
