"""Read untrusted files in a child process, with limits on its memory and time; free of torch.

Decoders and parsers written in C crash, hang and fill the memory on damaged files. In a child
process only the child is lost: the file is named in one line, and the next one gets a new child.
It runs ``python -m MODULE MEMORY_BYTES``, where the module calls :func:`serve`, and serves many
files. A request is a line of JSON; an answer is a line of JSON and arrays in NumPy's own format,
never a pickle, because a hostile file may control what the child sends.
"""

from __future__ import annotations

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

#: JSON, and arrays by name.
Answer = tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]

#: Characters of a refusal; a name from a hostile file may have millions.
_LONGEST = 1000
#: How long a process whose answer broke off may take to end, until it is killed.
_GRACE_S = 10.0


class Child:
    """A child process that reads files one after the other; it ends with this object.

    It is started by the first file, and started again after it was lost.

    Args:
        module: what runs in it; its ``__main__`` part calls :func:`serve`.
        memory_bytes: limit on its address space, libraries included.
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
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)

    def read(
        self, path: str | Path, seconds: float, cpu_seconds: float | None = None, **request: Any
    ) -> Answer:
        """Read one file.

        Args:
            path: of the file.
            seconds: limit on the wall-clock time, the start of the process included.
            cpu_seconds: limit on the child's processor time for this file; default: none.
            request: further arguments of the child's function, as JSON can hold them.

        Returns:
            What the child's function returned.

        Raises:
            UserError: what the child's function raised; or the child crashed, or ran out of
                memory or of time. The message names the file.
        """
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        # The child works in another folder than this process.
        asked = os.path.abspath(path)
        line = json.dumps({"cpu_seconds": cpu_seconds, "path": asked, **request})
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
            self.close()  # interrupted: its answer must not be taken for that of the next file
            raise
        finally:
            watch.cancel()
        if "error" in header:
            raise UserError(_one_line(str(header["error"]).replace(asked, str(path))))
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
        """The process's exit code, None if it does not end by itself; it is forgotten."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_GRACE_S)
        code = self._process.returncode
        self.close()
        return code


def serve(read: Callable[..., Answer], memory_bytes: int) -> None:
    """Answer the requests of a :class:`Child` until its input ends: the body of the process.

    Args:
        read: called with ``path`` and the request's further arguments. Messages of the
            :class:`UserError` that it raises begin with the path.
        memory_bytes: limit on the address space of this process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's, meant for the parent
    _limit_memory(memory_bytes)
    # Answers go out by a private descriptor: a library that prints must not mix with them.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _limit_processor_time(request.pop("cpu_seconds"))
        header, arrays = _answer(read, memory_bytes, request)
        _send(answers, header, arrays)
        _limit_processor_time(None)


def _limit_memory(memory_bytes: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # where a system knows no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_processor_time(seconds: float | None) -> None:
    """End this process by SIGPROF after so much processor time; None takes the limit away.

    A handler in Python would not be called while a library in C hangs.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds or 0.0)


def _answer(read: Callable[..., Answer], memory_bytes: int, request: dict[str, Any]) -> Answer:
    path = request["path"]
    try:
        return read(**request)
    except (UserError, OSError) as error:
        text = str(error)
    except (MemoryError, ImportError):  # a library that is loaded late has no room either
        text = f"{path}: needs more than {memory_bytes / 2**30:g} GiB of memory to read"
    except Exception as error:  # one file must not end the work on a folder
        text = f"{path}: {type(error).__name__}: {reason(error)}"
    return {"error": text}, {}


def _send(stream: BinaryIO, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    stream.write(json.dumps({"header": header, "arrays": list(arrays)}).encode() + b"\n")
    # Of a file object NumPy wants the position, which a pipe has not.
    pipe: Any = SimpleNamespace(write=stream.write)
    for array in arrays.values():
        np.lib.format.write_array(pipe, np.asanyarray(array), allow_pickle=False)
    stream.flush()


def _receive(stream: Any) -> Answer:
    """Read one answer.

    Raises:
        EOFError: the stream ends before the answer begins.
        ValueError: it ends within the answer, or the answer is not one of :func:`_send`.
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
            with suppress(OSError):  # a request that nobody reads any more
                pipe.close()
    process.wait()
