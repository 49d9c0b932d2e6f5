"""Batch normalisation and dropout over a batch that several processes share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.distributed.world import gather, lengths, world


class JointBatchNorm(nn.BatchNorm1d):
    """``(x − μ) / √(σ² + ε) · w + b`` with μ and σ² over the rows of all processes.

    Equals :class:`torch.nn.BatchNorm1d` on the concatenated rows, including running statistics;
    :class:`torch.nn.SyncBatchNorm` does not support the CPU. Sums are float64.
    """

    def forward(self, x_BD: Tensor) -> Tensor:
        """The same shape as ``x``, whose rows may differ in number between processes."""
        if not self.training:
            return super().forward(x_BD)
        mean_D, var_D, count = _moments(x_BD)
        self._update_running(mean_D.detach(), var_D.detach() * (count / (count - 1)))
        scale_D = self.weight * (var_D + self.eps).rsqrt().to(x_BD.dtype)
        return x_BD * scale_D + (self.bias - mean_D.to(x_BD.dtype) * scale_D)

    @torch.no_grad()
    def _update_running(self, mean_D: Tensor, var_D: Tensor) -> None:
        mean, var, batches = self.running_mean, self.running_var, self.num_batches_tracked
        assert mean is not None and var is not None and batches is not None
        assert self.momentum is not None
        mean.lerp_(mean_D.to(mean.dtype), self.momentum)
        var.lerp_(var_D.to(var.dtype), self.momentum)
        batches.add_(1)


def _moments(x_BD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance of each feature over the rows of all processes, and their number.

    They follow from those of each process, ``μ = Σ n_r μ_r / n`` and
    ``σ² = Σ n_r (σ_r² + (μ_r − μ)²) / n``, with a single exchange.
    """
    mean_D = x_BD.mean(0, dtype=torch.float64)
    # detach: the derivative of Σ (x − μ)² with respect to μ is zero.
    apart_BD = x_BD - mean_D.detach().to(x_BD.dtype)
    var_D = apart_BD.square().mean(0, dtype=torch.float64)
    own_3D = torch.stack([mean_D, var_D, torch.full_like(mean_D, len(x_BD))])
    mean_RD, var_RD, count_RD = gather(own_3D[None], world().size).unbind(1)
    count_D = count_RD.sum(0)
    mean_D = (count_RD * mean_RD).sum(0) / count_D
    var_D = (count_RD * (var_RD + (mean_RD - mean_D).square())).sum(0) / count_D
    return mean_D, var_D, count_D[0]


class JointDropout(nn.Dropout):
    """Dropout with the mask that a single process would draw for the rows of all processes.

    Each process draws the whole mask and uses its rows. All random generators therefore stay equal,
    and the result does not depend on the number of processes.
    """

    def forward(self, x_BD: Tensor) -> Tensor:
        """The same shape as ``x``, whose rows may differ in number between processes."""
        if not self.training or self.p == 0:
            return super().forward(x_BD)
        rows_R, rank = lengths(len(x_BD)), world().rank
        mask = F.dropout(x_BD.new_ones(sum(rows_R), *x_BD.shape[1:]), self.p)
        return x_BD * mask[sum(rows_R[:rank]) :][: len(x_BD)]


_JOINT: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: JointBatchNorm,
    nn.Dropout: JointDropout,
}


def join_rows(module: nn.Module) -> None:
    """Replace batch norm and dropout in a module, in place, by those over all processes.

    Parameters, buffers and their names are unchanged.
    """
    for layer in module.modules():
        if type(layer) in _JOINT:
            layer.__class__ = _JOINT[type(layer)]
