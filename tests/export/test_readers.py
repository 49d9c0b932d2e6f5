"""Form `chain` in the NIR importers of other projects, as a user would call them."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path

import nir
import pytest
import torch

from export.chain import encode_chain, threshold_code, to_chain
from export.files import RConvention
from export.graph import write_graph
from tests.export.branches import firing_branch, random_drive


def snntorch(graph: nir.NIRGraph) -> Callable:
    return importlib.import_module("snntorch.import_nir").import_from_nir(graph)


def spikingjelly(graph: nir.NIRGraph) -> Callable:
    return importlib.import_module("spikingjelly.activation_based.nir_exchange").import_from_nir(
        graph
    )


def norse(graph: nir.NIRGraph) -> Callable:
    return importlib.import_module("norse.torch").from_nir(graph, ignore_warnings=True, dt=1e-4)


@pytest.mark.parametrize(
    ("reader", "convention"),
    [
        (snntorch, "unit-gain"),
        (snntorch, "one"),
        (spikingjelly, "unit-gain"),
        (spikingjelly, "one"),
        (norse, "one"),
    ],
)
def test_other_projects_give_the_same_spikes(
    reader: Callable, convention: RConvention, tmp_path: Path
):
    branch = firing_branch(7, 20, 24, 3)
    x, current = random_drive(branch, 7, 4, 16)
    code = threshold_code(branch, (0.25, 2.25))
    write_graph(to_chain(branch, code, r_convention=convention), tmp_path / "g.nir")
    with warnings.catch_warnings():  # theirs
        warnings.simplefilter("ignore")
        try:
            module = reader(nir.read(tmp_path / "g.nir"))
        except ModuleNotFoundError as error:
            pytest.skip(f"{error}; it is no dependency of ours")
        state, spikes = None, []
        with torch.no_grad():
            for x_BF in encode_chain(x, current, code).unbind(1):
                spikes_BN, state = module(x_BF, state)
                spikes.append(spikes_BN)
    expected = branch(x, threshold_current=current)
    assert 0.01 < expected.mean() < 0.6  # 0.090 here; from 0.023 to 0.15 for seeds 0 to 199
    assert torch.equal(torch.stack(spikes, 1), expected)
