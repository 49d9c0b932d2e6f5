"""A pytest plugin: the LIF of tensors on the CPU takes Triton's kernels, in its interpreter.

``TRITON_INTERPRET=1 python -m pytest -p tests.mdft.interpreted tests/mdft/lif/test_lif_fused.py``
"""

import pytest

from mdft.lif import cuda as lif_cuda
from mdft.lif import fused as lif_fused
from mdft.lif import triton_kernels as lif_triton

lif_fused.KERNELS["cpu"] = lif_cuda


def pytest_configure(config: pytest.Config) -> None:
    """The interpreter is NumPy, which warns of infinities."""
    rule = "ignore:(overflow|invalid value) encountered:RuntimeWarning"
    config.addinivalue_line("filterwarnings", rule)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what ran."""
    terminalreporter.write_line(f"kernels: {type(lif_triton.forward).__name__}")
