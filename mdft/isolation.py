"""Read untrusted files in a child process, with limits on its memory and time; free of torch.

Decoders and parsers written in C may crash, hang or exhaust the memory on damaged files. In a child
process only the child is lost: an error names the file, and a new child reads the next one. The
child runs ``python -m MODULE MEMORY_BYTES``, whose module calls :func:`serve`, and reads many
files. A request is a line of JSON; an answer is a line of JSON and arrays in NumPy's format, never
a pickle, because a malicious file may control the child's output.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, BinaryIO
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from mdft.errors import UserError, printable, reason

#: An answer: a JSON header, and arrays by name.
Answer = tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]

#: Limit on the characters of an error message; names in a malicious file may be very long.
_LONGEST = 1000
#: Seconds that a process may take to exit after an incomplete answer, before it is killed.
_GRACE_S = 10.0


class Child:
    """A child process that reads files one after another; it ends with this object.

    The first file starts it, or :meth:`start` before; after a crash the next file starts it again.

    Args:
        module: module that the child runs; its ``__main__`` part calls :func:`serve`.
        memory_bytes: limit on the child's address space, libraries included.
    """

    def __init__(self, module: str, memory_bytes: int) -> None:
        self.module = module
        self.memory_bytes = memory_bytes
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if it is running."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)

    def start(self) -> None:
        """Start the process, if it is not running: it imports its libraries before a file comes."""
        self._started()

    def read(
        self, path: str | Path, seconds: float, cpu_seconds: float | None = None, **request: Any
    ) -> Answer:
        """Read one file.

        Args:
            path: path of the file.
            seconds: limit on the wall-clock time, the start of the process included.
            cpu_seconds: limit on the child's processor time for this file; default: none.
            request: further arguments of the child's function, serialisable as JSON.

        Returns:
            The return value of the child's function.

        Raises:
            UserError: the child's function raised it, or the child crashed or exceeded its memory
                or time. The message names the file.
        """
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        # The child has another working directory than this process.
        absolute = os.path.abspath(path)
        line = json.dumps({"cpu_seconds": cpu_seconds, "path": absolute, **request})
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        watch = threading.Timer(seconds, stop)
        watch.start()
        try:
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
            header, arrays = _receive(process.stdout)
        except (BrokenPipeError, EOFError, ValueError, MemoryError) as error:  # no valid answer
            code = self._exit_code()
            if late.is_set():
                how = f"reading it took more than {seconds:g} s"
            elif cpu_seconds is not None and code == -getattr(signal, "SIGPROF", 0):
                how = f"reading it took more than {cpu_seconds:.1f} s of processor time"
            elif code is None:
                how = "the process that reads it gave no valid answer; the file is damaged"
            else:
                status = f"signal {-code}" if code < 0 else f"status {code}"
                how = (
                    f"the process that reads it crashed ({status}); the file is damaged, or "
                    "needs more memory"
                )
            raise UserError(f"{path}: {how}") from error
        except BaseException:
            self.close()  # a late answer must not be mistaken for that of the next file
            raise
        finally:
            watch.cancel()
        if "error" in header:
            raise UserError(_one_line(str(header["error"]).replace(absolute, str(path))))
        return header, arrays

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:  # killed between two files
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module, str(self.memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=Path(__file__).parents[1],  # where -m finds the module
                # Each thread of OpenBLAS reserves address space, which is limited.
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            )
            finalize(self, _end, self._process)
        return self._process

    def _exit_code(self) -> int | None:
        """Close the process; return its exit code, or None if it did not exit by itself."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_GRACE_S)
        code = self._process.returncode
        self.close()
        return code


def serve(read: Callable[..., Answer], memory_bytes: int) -> None:
    """Answer the requests of a :class:`Child` until its input ends; the main loop of the child.

    Args:
        read: function called with ``path`` and the request's further arguments. The message of a
            :class:`UserError` that it raises begins with the path.
        memory_bytes: limit on the address space of this process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    _limit_memory(memory_bytes)
    # Answers use a private file descriptor, because libraries may print to stdout.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _limit_processor_time(request.pop("cpu_seconds"))
        header, arrays = _answer(read, memory_bytes, request)
        _send(answers, header, arrays)
        _limit_processor_time(None)


def _limit_memory(memory_bytes: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # systems without such limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_processor_time(seconds: float | None) -> None:
    """End this process by SIGPROF after some processor time; None removes the limit.

    Without a handler, because Python's would not run while a library in C hangs.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds or 0.0)


def _answer(read: Callable[..., Answer], memory_bytes: int, request: dict[str, Any]) -> Answer:
    path = request["path"]
    try:
        return read(**request)
    except Exception as error:  # one file must not stop the work on a folder
        if _lacks_memory(error):
            text = f"{path}: needs more than {memory_bytes / 2**30:g} GiB of memory to read"
        elif isinstance(error, UserError | OSError):
            text = str(error)
        else:
            text = f"{path}: {type(error).__name__}: {reason(error)}"
    return {"error": text}, {}


def _lacks_memory(error: Exception) -> bool:
    """Whether memory ran out, for a library below, too; a late import may then fail."""
    causes = (error, error.__cause__)
    return isinstance(error, ImportError) or any(
        isinstance(e, MemoryError) or (isinstance(e, OSError) and e.errno == errno.ENOMEM)
        for e in causes
    )


def _send(stream: BinaryIO, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    stream.write(json.dumps({"header": header, "arrays": list(arrays)}).encode() + b"\n")
    # NumPy asks a file object for its position, which a pipe does not have.
    pipe: Any = SimpleNamespace(write=stream.write)
    for array in arrays.values():
        np.lib.format.write_array(pipe, np.asanyarray(array), allow_pickle=False)
    stream.flush()


def _receive(stream: Any) -> Answer:
    """Read one answer.

    Raises:
        EOFError: the stream ends before the answer.
        ValueError: the stream ends within the answer, or :func:`_send` did not write it.
    """
    line = stream.readline()
    if not line:
        raise EOFError
    match json.loads(line):
        case {"header": dict(header), "arrays": list(names)}:
            pipe: Any = SimpleNamespace(read=stream.read)
            read = np.lib.format.read_array
            return header, {str(name): read(pipe, allow_pickle=False) for name in names}
    raise ValueError("an answer has a header and arrays")


def _one_line(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # an unread request cannot be flushed
                pipe.close()
    process.wait()
