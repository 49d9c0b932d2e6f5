"""The authors' own training steps, from checkouts of their repositories, for comparison.

Their code is not part of this repository. The user gives a path to a checkout, which runs in a
separate process (``authors_step_child.py``) on an interpreter with the packages that it requires.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.checkouts import failed

_CHILD = Path(__file__).with_name("authors_step_child.py")


@dataclass(frozen=True)
class Settings:
    """The settings of a step of the authors' code.

    Attributes:
        system: a key of ``CHECKOUTS``.
        checkout: the folder of the checkout.
        batch: the number of clips per step.
        seconds: the number of seconds T; AVCA and AVMST use averaged features without it.
        width: the width of both features.
        words: the width of the word vectors.
        classes: the number of classes of the training split.
        hyper: our configuration of the same system, so that both have the same sizes.
        threads: the number of threads of torch.
        device: cpu or cuda.
    """

    system: str
    checkout: str
    batch: int
    seconds: int
    width: int
    words: int
    classes: int
    hyper: dict[str, Any]
    threads: int
    device: str


class Authors:
    """A process that runs the authors' training steps one at a time; close it or use ``with``.

    Attributes:
        parameters: the number of parameters of their model, trained or not.
        torch: the version of torch in their process.

    Args:
        settings: the settings of the step.
        python: the interpreter.

    Raises:
        UserError: the process ended before it was ready; the message has its last line.
    """

    def __init__(self, settings: Settings, python: str = sys.executable) -> None:
        self.settings = settings
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed with the process
        command = [python, str(_CHILD), json.dumps(asdict(settings))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        hello = self._answer()
        self.parameters: int = hello["parameters"]
        self.torch: str = hello["torch"]

    def step(self) -> dict[str, float]:
        """Run a step; return seconds: ``step`` of ``optimize_params``, ``loop`` of the batch."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then `_answer` raises the error
            print(file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def __enter__(self) -> Authors:
        """Itself."""
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return json.loads(line)
        self._process.wait()
        self._log.seek(0)
        lines = list(self._log)
        self.close()
        s = self.settings
        raise failed(f"--{s.system} {s.checkout}", lines, "its step")
