"""The recurrence of the RJLU: its gradient against finite differences and against autograd."""

import pytest
import torch
from torch import Tensor

from mdft.model.recurrence import JointRecurrence, JointWeights, joint_sequence, joint_step
from mdft.model.rjlu import RJLU

pytestmark = pytest.mark.rounding

B, T, D, H = 2, 3, 4, 2
#: The second clip has no second 1: ``h`` passes through it, and its ``S`` has a gradient.
MASK_TB = torch.tensor([[True, True], [True, False], [True, True]])


def arguments(dtype: torch.dtype) -> tuple[Tensor, Tensor, JointWeights]:
    """Random projections, ``h^0`` and weights, of which gradients are wanted."""
    tall, wide = (2 * D, D), (D, 2 * D)
    shapes = (
        (7 * D, D),
        (7 * D,),
        wide,
        (D,),
        (D, D),
        (D,),
        (D,),
        (D,),
        tall,
        (2 * D,),
        wide,
        (D,),
    )
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()

    own_2TB6HU = random(2, T, B, 6, H, D // H)
    return own_2TB6HU, random(B, D), JointWeights(*(random(*shape) for shape in shapes))


def test_gradient_against_finite_differences():
    own_2TB6HU, h_BD, weights = arguments(torch.float64)
    given = own_2TB6HU, h_BD, MASK_TB, *weights
    assert torch.autograd.gradcheck(JointRecurrence.apply, given)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_values_and_gradients_against_autograd(dtype: torch.dtype, close: float):
    def slopes(run) -> list[Tensor]:
        own_2TB6HU, h_BD, weights = arguments(dtype)
        S_TBD, h_TBD = run(own_2TB6HU, h_BD, weights)
        (S_TBD.square().sum() + h_TBD.sin().sum()).backward()
        found = [S_TBD, h_TBD, *(x.grad for x in (own_2TB6HU, h_BD, *weights))]
        assert all(x is not None for x in found)
        return found

    plain = slopes(lambda own, h, w: joint_sequence(joint_step, own, h, MASK_TB, w))
    ours = slopes(lambda own, h, w: JointRecurrence.apply(own, h, MASK_TB, *w))
    for ours_X, plain_X in zip(ours, plain, strict=True):
        torch.testing.assert_close(ours_X, plain_X, rtol=close, atol=close)


def test_a_replaced_step_is_used_and_learns_the_same():
    """As `torch.compile` replaces it."""

    def slopes(step) -> tuple[Tensor, list[Tensor]]:
        torch.manual_seed(0)
        unit = RJLU(D, H).double()
        if step is not None:
            unit.step = step
        a_BTD, v_BTD = torch.rand(2, B, T, D, dtype=torch.float64)
        h_BTD = unit(a_BTD, v_BTD, MASK_TB.t())[1]
        h_BTD.square().sum().backward()
        return h_BTD, [p.grad for p in unit.parameters() if p.grad is not None]

    calls = []

    def counted(*given):
        calls.append(given)
        return joint_step(*given)

    h_BTD, ours = slopes(None)
    plain_BTD, plain = slopes(counted)
    assert len(calls) == T and torch.equal(h_BTD, plain_BTD)
    for ours_X, plain_X in zip(ours, plain, strict=True):
        torch.testing.assert_close(ours_X, plain_X, rtol=1e-12, atol=1e-12)
