"""Modules in other people's models: their examples run, and what does not fit is named."""

import copy
import doctest
import importlib
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import mdft
from mdft.lif.layer import DynamicThresholdLIF
from mdft.model.crm import CRM
from mdft.model.dab import DiscrepancyAnalysis
from mdft.model.layers import Encoder
from mdft.model.mdft import MDFT
from mdft.model.motion import MotionBranch
from mdft.model.rjlu import RJLU
from mdft.model.threshold import dynamic_threshold
from tests.mdft.small import small_model

pytestmark = pytest.mark.rounding

FOLDER = Path(mdft.__file__).parent
WITH_EXAMPLES = [
    ".".join(file.relative_to(FOLDER.parent).with_suffix("").parts)
    for file in sorted(FOLDER.rglob("*.py"))
    if ">>> " in file.read_text()
]
PUBLIC = (DynamicThresholdLIF, RJLU, DiscrepancyAnalysis, MotionBranch, CRM, Encoder, MDFT)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_give_what_they_print(name: str):
    failed, run = doctest.testmod(importlib.import_module(name))
    assert failed == 0 < run


@pytest.mark.parametrize("module", PUBLIC)
def test_each_public_module_has_an_example_that_calls_it(module: type):
    assert module.__module__ in WITH_EXAMPLES
    examples = doctest.DocTestParser().get_examples(module.__doc__ or "")
    source = "".join(example.source for example in examples)
    made = re.search(rf"(\w+) = {module.__name__}\(", source)
    assert made is not None
    assert f"{made[1]}(" in source
    assert examples[-1].want


BOUNDS: dict[str, Any] = {"theta_0": 1.0, "theta_min": 0.5, "theta_max": 2.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x, mask: RJLU(8, 2)(x, x[:, :2], mask),
            r"RJLU: visual has shape \(2, 2, 8\), expected \(2, 3, 8\)",
        ),
        (
            lambda x, mask: RJLU(4, 2)(x, x, mask),
            r"RJLU: audio has shape \(2, 3, 8\), expected \(2, 3, 4\)",
        ),
        (lambda x, mask: RJLU(8, 2)(x, x, mask.float()), r"mask is torch.float32 of shape \(2, 3"),
        (lambda x, mask: RJLU(8, 2)(x[:, :0], x[:, :0], mask[:, :0]), "at least one second"),
        (lambda x, mask: RJLU(8, 3), "3 heads do not divide the width 8"),
        (
            lambda x, mask: DiscrepancyAnalysis()(x, x[:, :1]),
            r"audio has shape \(2, 3, 8\), events \(2, 1, 8\)",
        ),
        (
            lambda x, mask: dynamic_threshold(x, x, mode="relativ", **BOUNDS),  # type: ignore
            "mode is 'relativ', expected one of relative, paper, fixed",
        ),
        (
            lambda x, mask: dynamic_threshold(x[..., :1], x[..., :1], mode="paper", **BOUNDS),
            "S has 1 feature, expected at least 2",
        ),
        (lambda x, mask: MotionBranch(8, 4)(x[:, :0]), "0 steps"),
        (lambda x, mask: DynamicThresholdLIF()(x[:, :0], x[:, :0]), "0 steps"),
        (
            lambda x, mask: MotionBranch(8, 4, alpha=-1.0),
            "alpha is -1.0, expected a positive number",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, message: str):
    with pytest.raises(ValueError, match=message):
        call(torch.ones(2, 3, 8), torch.ones(2, 3, dtype=torch.bool))


def test_a_branch_survives_copying_pickling_and_inference_mode():
    branch = MotionBranch(8, 16, 2, beta=0.75, theta_0=0.5, alpha=3.0)
    x, theta = torch.randint(0, 64, (2, 9, 8)) / 16, 0.5 + torch.rand(2, 9, 1)
    current = branch.threshold_current(theta)
    expected = branch(x, threshold_current=current)
    assert 0 < expected.mean() < 1
    for other in (copy.deepcopy(branch), pickle.loads(pickle.dumps(branch))):
        assert torch.equal(other(x, threshold_current=current), expected)
        assert (other.params, other.spike) == (branch.params, branch.spike)
    loaded = MotionBranch(8, 16, 2, beta=0.75, theta_0=0.5)
    loaded.load_state_dict(branch.state_dict())
    assert torch.equal(loaded(x, threshold_current=current), expected)
    with torch.inference_mode():
        assert torch.equal(branch(x, theta=theta), expected)


def test_no_module_writes_into_what_it_is_given():
    """The LIF reuses memory inside the branch; nothing of the caller's may change."""
    branch = MotionBranch(16, 16, 2)
    x, theta = torch.randint(0, 64, (2, 9, 16)) / 16, 0.5 + torch.rand(2, 9, 1)
    current = branch.threshold_current(theta)
    given = [x, current, theta, *branch.parameters()]
    before = [tensor.detach().clone() for tensor in given]
    branch(x, threshold_current=current)
    branch.layer(0, x, current)
    DynamicThresholdLIF()(x, theta)
    for tensor, old in zip(given, before, strict=True):
        assert torch.equal(tensor, old)


def test_an_empty_batch_gives_an_empty_answer():
    branch = MotionBranch(8, 4, 2)
    current = branch.threshold_current(torch.ones(0, 3, 1))
    assert branch(torch.ones(0, 3, 8), threshold_current=current).shape == (0, 3, 4)
    S, h = RJLU(8, 2)(*torch.ones(2, 0, 3, 8), torch.ones(0, 3, dtype=torch.bool))
    assert S.shape == h.shape == (0, 3, 8)


def test_rjlu_without_a_mask_takes_every_second():
    unit = RJLU(8, 2)
    a, v = torch.randn(2, 4, 5, 8)
    for x, expected in zip(unit(a, v), unit(a, v, torch.ones(4, 5, dtype=torch.bool)), strict=True):
        assert torch.equal(x, expected)
    with pytest.raises(ValueError, match="at least one second"):
        unit(a[:, :0], v[:, :0])


def test_a_model_prints_what_its_modules_were_made_with():
    text = repr(MDFT(small_model(rjlu=True)))
    for line in (
        r"modality='both', events=True, threshold='relative', theta_min=\S+, theta_max=\S+",
        r"RJLU\(\s+dim=\d+, heads=\d+\n",
        r"Attention\(\s+dim=\d+, heads=\d+\n",
        r"DiscrepancyAnalysis\(beta=1\.001\)",
        r"MotionBranch\(\s+features=\d+, neurons=\d+, layers=\d+, beta=0\.5, theta_0=1\.0",
        r"CRM\(\s+pathways=\('audio', 'visual'\)\n",
        r"Dropout\(p=0\.\d+",
    ):
        assert re.search(line, text), line
