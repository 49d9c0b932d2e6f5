"""Folders that the user gives: checkouts of the authors' repositories, and clips to measure.

None of their content is in this repository.
"""

from __future__ import annotations

import os
from pathlib import Path

from mdft.config.baselines import SystemName
from mdft.errors import UserError

#: For each system, a file that its checkout must contain, and its repository.
CHECKOUTS: dict[SystemName, tuple[str, str]] = {
    "tcaf": ("src/model_sequence.py", "github.com/ExplainableML/TCAF-GZSL"),
    "avmst": ("src/model_improvements.py", "github.com/liwr-hit/ICME23_AVMST"),
    "avca": ("src/model_improvements.py", "github.com/ExplainableML/AVCA-GZSL"),
}


def clips_folder() -> Path:
    """The folder of clips of the shared data, which need not exist."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("MDFT_SHARED_DATA", beside)) / "clips"


def checked(system: SystemName, checkout: Path, *files: str) -> Path:
    """Return the absolute path of a checkout.

    Args:
        system: a key of ``CHECKOUTS``.
        checkout: the folder that the user gave.
        files: further files that must be in it.

    Raises:
        UserError: it is not a checkout of this system.
    """
    known, repository = CHECKOUTS[system]
    for file in (known, *files):
        if not (checkout / file).is_file():
            raise UserError(f"{checkout}: no {file} there, expected a checkout of {repository}")
    return checkout.resolve()


def failed(flag: str, log: Path | list[str], what: str) -> UserError:
    """The error of a process with the authors' code that ended early.

    Args:
        flag: the argument that named the checkout, and its value.
        log: what the process wrote, or the file with it.
        what: what does not run.
    """
    text = log.read_text(errors="replace").splitlines() if isinstance(log, Path) else log
    lines = [line.strip() for line in text if line.strip()]
    last = lines[-1] if lines else "no message"
    return UserError(
        f"{flag}: {what} does not run: {last}; "
        "give an interpreter with the packages of the checkout by --python"
    )
