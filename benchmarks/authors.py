"""The authors' own training steps, from checkouts of their repositories, for comparison.

Their code is not ours to keep: a path to a checkout is given, and it runs in a process of its own
(``authors_child.py``), on an interpreter that has what their environment asks for.
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

#: Measured here: what each checkout must hold, and where it comes from.
CHECKOUTS: dict[SystemName, tuple[str, str]] = {
    "tcaf": ("src/model_sequence.py", "github.com/ExplainableML/TCAF-GZSL"),
    "avmst": ("src/model_improvements.py", "github.com/liwr-hit/ICME23_AVMST"),
    "avca": ("src/model_improvements.py", "github.com/ExplainableML/AVCA-GZSL"),
}
_CHILD = Path(__file__).with_name("authors_child.py")


class UserError(ValueError):
    """A mistake of the person at the command line; one line."""


@dataclass(frozen=True)
class Settings:
    """What a step of the authors' code is given.

    Attributes:
        system: a key of ``CHECKOUTS``.
        checkout: folder.
        batch: clips a step.
        seconds: T; AVCA and AVMST take averaged features, which have none.
        width: of both features.
        words: width of the word vectors.
        classes: of the training split.
        hyper: our configuration of the same system, so that both are of one size.
        threads: of torch.
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
    """The folder of a checkout.

    Raises:
        UserError: it is none of this system.
    """
    file, repository = CHECKOUTS[system]
    if not (checkout / file).is_file():
        raise UserError(
            f"--{system} {checkout}: there is no {file}, expected a checkout of {repository}"
        )
    return checkout.resolve()


class Authors:
    """A process that takes one of the authors' steps when asked to; to be closed, or ``with``.

    Attributes:
        parameters: how many numbers their model learns, or holds without learning them.
        torch: the version in their process.

    Args:
        settings: of the step.
        python: interpreter.

    Raises:
        UserError: the process ends before it is ready; with the last line that it said.
    """

    def __init__(self, settings: Settings, python: str = sys.executable) -> None:
        self.settings = settings
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed with the process
        command = [python, str(_CHILD), json.dumps(asdict(settings))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True
        )
        hello = self._answer()
        self.parameters: int = hello["parameters"]
        self.torch: str = hello["torch"]

    def step(self) -> dict[str, float]:
        """Seconds of ``step``, their ``optimize_params``, and ``loop``, all that a batch costs."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then there is no answer, which says why
            print(file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._said.close()

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
        self._said.seek(0)
        said = [line.strip() for line in self._said if line.strip()]
        self.close()
        s = self.settings
        raise UserError(
            f"--{s.system} {s.checkout}: its step does not run: {said[-1] if said else 'no word'}; "
            "name an interpreter that has what the checkout asks for by --python"
        )
