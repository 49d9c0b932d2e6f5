"""The profile of a training step: backward operations belong to the part they differentiate."""

from unittest import mock

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import benchmarks.profile as profiling
from benchmarks.profile import LEAVES, PARTS, REST, Options, assigned, by_part, least, main, ranges
from mdft.model.motion import MotionBranch


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.small, self.large = nn.Linear(4, 4), nn.Linear(4, 512)

    def narrow(self, x: torch.Tensor) -> torch.Tensor:
        return self.small(x).tanh()

    def wide(self, x: torch.Tensor) -> torch.Tensor:
        return self.large(self.narrow(x)).sin()


def test_operations_belong_to_the_innermost_part_and_backward_to_its_forward():
    net, x = Two(), torch.randn(8, 4)
    parts = ((Two, "narrow", "narrow"), (Two, "wide", "wide"))
    record = profile(activities=[ProfilerActivity.CPU], acc_events=True)
    with mock.patch.object(profiling, "PARTS", parts), ranges(), record:
        net.wide(x).exp().sum().backward()
    events = record.events()
    assert events
    found = {(event.name, part, backward) for event, part, backward in assigned(events)}
    engine = "autograd::engine::evaluate_function: "
    assert {
        ("aten::tanh", "narrow", False),
        ("aten::sin", "wide", False),
        ("aten::exp", REST, False),
        (f"{engine}TanhBackward0", "narrow", True),
        (f"{engine}SinBackward0", "wide", True),
        (f"{engine}ExpBackward0", REST, True),
        (f"{engine}AddmmBackward0", "narrow", True),
        (f"{engine}AddmmBackward0", "wide", True),
        (f"{engine}torch::autograd::AccumulateGrad", LEAVES, True),
    } <= found
    assert (f"{engine}AddmmBackward0", REST, True) not in found
    assert sum(map(len, by_part(events).values())) == len(events)
    assert not hasattr(Two.wide, "__wrapped__")


@pytest.mark.parametrize("rate", [0.05, 0.9])
def test_products_of_few_spikes_and_of_many_are_one_row(rate: float):
    branch, x = MotionBranch(64, 64, 1), (torch.rand(4, 100, 64) < rate).float().requires_grad_()
    record = profile(activities=[ProfilerActivity.CPU], acc_events=True)
    with ranges(), record:
        branch(x).sum().backward()
    parts = {name: set[tuple[str, bool]]() for name in ("aten::mm", "_FusedLIF")}
    for event, part, backward in assigned(record.events() or []):
        if event.name in parts:
            parts[event.name].add((part, backward))
    assert ("motion: matrix products", True) in parts["aten::mm"]
    assert {part for part, _ in parts["aten::mm"]} == {"motion: matrix products"}
    assert parts["_FusedLIF"] == {("motion: LIF", False)}


def test_the_least_is_taken_operation_by_operation():
    steps = [
        {("a", False): [1.0, 5.0], ("a", True): [2.0]},
        {("a", False): [3, 4], ("a", True): [1]},
    ]
    assert least(steps) == {"a": (5.0, 1)}
    with pytest.raises(ValueError):
        least([{("a", False): [1.0]}, {("a", False): [1.0, 2.0]}])


@pytest.mark.slow
def test_the_quick_table_has_every_part(capsys: pytest.CaptureFixture[str]):
    main(Options(quick=True))
    out = capsys.readouterr().out
    rows = {
        line.split("│")[1].strip(): line.split("│")[2:-1]
        for line in out.splitlines()
        if "│" in line
    }
    assert {part for *_, part in PARTS} < set(rows)
    assert {"motion: LIF", "motion: matrix products", "optimiser", REST} < set(rows)
    for part in ("RJLU", "CRM", "encoders", "motion: LIF", "motion: matrix products"):
        assert float(rows[part][0]) > 0 and float(rows[part][1]) > 0, part
    whole = float(rows.pop("all")[2])
    assert sum(float(cells[2]) for cells in rows.values()) == pytest.approx(whole, abs=0.1)
    assert float(out.rsplit("profiler: ", 1)[1].split()[0]) > 0
