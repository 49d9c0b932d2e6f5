"""The tests that need a GPU; in a dry run they are only collected."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu.process import ROOT, reason_of
from benchmarks.gpu.results import REASON, Row
from benchmarks.gpu.sizes import Sizes

#: A test on a GPU has the marker, or the device from the fixture that has it.
_MARKED = re.compile(r"\bmark\.gpu\b|\blif_device\b")
#: No other process, no file beside the tests; and what a library is going to change is no failure.
_OPTIONS = (
    "-q", "-m", "gpu", "--continue-on-collection-errors", "-p", "no:xdist",
    "-p", "no:cacheprovider", "-W", "default::DeprecationWarning", "-W", "default::FutureWarning",
)  # fmt: skip


def files(root: Path = ROOT) -> list[str]:
    """The test files with tests on a GPU; those that compile come last, for they may take minutes.

    Other files are not imported: they need packages that training does not need.
    """
    texts = {path: path.read_text() for path in sorted((root / "tests/mdft").rglob("test_*.py"))}
    marked = [path for path, text in texts.items() if _MARKED.search(text)]
    ordered = sorted(marked, key=lambda path: "torch.compile" in texts[path])
    return [str(path.relative_to(root)) for path in ordered]


def tests(sizes: Sizes, record: Callable[[Row], None]) -> None:
    """Record the outcome of every test as soon as it is known; in a dry run their number a file.

    Raises:
        RuntimeError: pytest found no test, or stopped before the last one.
    """
    import pytest  # no part of what training needs

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    listener = _Listener(record)
    options = [*_OPTIONS, *(["--collect-only"] if sizes.dry else [])]
    status = pytest.main([*options, *files()], plugins=[listener])
    for file, number in listener.collected.items():
        record({"test": file, "outcome": "collected", "tests": number})
    if not listener.collected:
        raise RuntimeError(f"pytest found no test marked gpu (exit status {status})")
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"pytest stopped with exit status {status}; see tests.log")


class _Listener:
    """A plugin of pytest that records outcomes."""

    def __init__(self, record: Callable[[Row], None]) -> None:
        self.record = record
        self.collected: dict[str, int] = {}

    def pytest_collection_finish(self, session: Any) -> None:
        """Count the tests of each file."""
        for item in session.items:
            file = item.nodeid.partition("::")[0]
            self.collected[file] = self.collected.get(file, 0) + 1

    def pytest_collectreport(self, report: Any) -> None:
        """A file that could not be imported."""
        if report.failed:
            self._not_passed(report, "not collected")

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A test that has run, was skipped, or failed in its fixtures."""
        if report.when == "call" and report.passed:
            seconds = round(report.duration, 3)
            self.record({"test": report.nodeid, "outcome": "passed", "seconds": seconds})
        elif not report.passed:
            self._not_passed(report, report.outcome)

    def _not_passed(self, report: Any, outcome: str) -> None:
        lines = str(report.longrepr).strip().splitlines() or [""]
        if isinstance(report.longrepr, tuple):
            message = str(report.longrepr[-1])
        else:
            marked = [line[1:].strip() for line in lines if line.startswith("E ")]
            message = marked[0] if marked else lines[-1]
        reason = reason_of(Exception(message)).removeprefix("Exception: ")
        row: Row = {"test": report.nodeid, "outcome": outcome}
        self.record({**row, REASON: f"{report.nodeid}: {outcome}: {reason}"})
