"""The backends that every exported graph has to run in."""

import pytest

every_backend = pytest.mark.parametrize(
    "backend",
    [
        "reference_float",
        "reference_int",
        pytest.param("lava_float", marks=pytest.mark.lava),
        pytest.param("lava_fixed", marks=pytest.mark.lava),
        # Slow to import: torch, torchvision, matplotlib; once a process.
        pytest.param("netx", marks=[pytest.mark.lava, pytest.mark.slow]),
    ],
)
