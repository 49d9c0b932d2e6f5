"""The authors' own training steps, from checkouts of their repositories, for comparison.

Their code is not part of this repository. The user gives a path to a checkout, which runs in a
separate process (``authors_child.py``) on an interpreter with the packages that it requires.
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

from mdft.config.baselines import SystemName

#: For each system, a file that its checkout must contain, and its repository.
CHECKOUTS: dict[SystemName, tuple[str, str]] = {
    "tcaf": ("src/model_sequence.py", "github.com/ExplainableML/TCAF-GZSL"),
    "avmst": ("src/model_improvements.py", "github.com/liwr-hit/ICME23_AVMST"),
    "avca": ("src/model_improvements.py", "github.com/ExplainableML/AVCA-GZSL"),
}
_CHILD = Path(__file__).with_name("authors_child.py")


class UserError(ValueError):
    """A mistake of the user; the message is one line."""


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


def checked(system: SystemName, checkout: Path) -> Path:
    """Return the folder of a checkout.

    Raises:
        UserError: it is not a checkout of this system.
    """
    file, repository = CHECKOUTS[system]
    if not (checkout / file).is_file():
        raise UserError(
            f"--{system} {checkout}: no {file} there, expected a checkout of {repository}"
        )
    return checkout.resolve()


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
        lines = [line.strip() for line in self._log if line.strip()]
        self.close()
        s = self.settings
        last = lines[-1] if lines else "no message"
        raise UserError(
            f"--{s.system} {s.checkout}: its step does not run: {last}; "
            "give an interpreter with the packages of the checkout by --python"
        )
