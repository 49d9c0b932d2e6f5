"""Output that nobody reads, ``python -m … | head``, and output in a narrow encoding."""

from __future__ import annotations

import os
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


def test_a_narrow_encoding_costs_characters_and_not_the_answer() -> None:
    """JSON escapes what is not ASCII itself; tables and messages have β, ± and ×."""
    main = "lambda: print('beta \u03b2') or print('\u00b1', file=sys.stderr) or 0"
    run = subprocess.run(
        [sys.executable, "-c", CODE.format(main=main)],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (run.stdout, run.stderr, run.returncode) == (b"beta ?\n", b"?\n", 0)
