"""What a command does when nobody reads its output: ``python -m … | head``."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.subprocess

CODE = "import sys; from mdft.cli import exit_status; sys.exit(exit_status({main}))"


@pytest.mark.parametrize("lines", [1, 10**5])
def test_a_reader_that_leaves_ends_the_command_without_a_word(lines: int) -> None:
    main = f"lambda: print('line\\n' * {lines}) or 0"
    code = CODE.format(main=main)
    child = [sys.executable, "-c", code]
    with subprocess.Popen(child, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()  # before the child can print
        assert process.stderr.read() == b""
        assert process.wait() == 141
