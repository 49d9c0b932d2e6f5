"""The three losses, eqs. (13) to (15)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from mdft.config.model import LossConfig


def distance(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distance ``‖x − y‖₂`` over the last axis; its gradient is 0 where it is 0."""
    # vector_norm uses the processor's square root; torch.sqrt uses MKL's, which rounds differently
    # on Intel and AMD.
    return torch.linalg.vector_norm(x - y, dim=-1)


def triplet_loss(
    o_av: Tensor, o_w: Tensor, o_av_negative: Tensor, o_w_negative: Tensor, margin: float
) -> Tensor:
    """Equation (13): ``[γ + d(O,W) − d(O⁻,W)]₊ + [γ + d(O,W) − d(O,W⁻)]₊``, mean over the batch.

    The paper prints raw vectors, and its second term would attract negatives. Here both terms are
    hinges on L2 distances, with a clip and a word of another class as negatives.

    Args:
        o_av: (B,E) audio-visual embeddings.
        o_w: (B,E) embeddings of their classes' words.
        o_av_negative: (B,E) embeddings of clips of another class.
        o_w_negative: (B,E) embeddings of another class's word.
        margin: γ.
    """
    positive_B = distance(o_av, o_w)
    clip_B = F.relu(margin + positive_B - distance(o_av_negative, o_w))
    word_B = F.relu(margin + positive_B - distance(o_av, o_w_negative))
    return (clip_B + word_B).mean()


def projection_loss(o_av: Tensor, o_w: Tensor) -> Tensor:
    """Equation (14) as a mean squared error (a signed mean has no lower bound)."""
    return F.mse_loss(o_av, o_w)


def reconstruction_loss(reconstructed: Tensor, words: Tensor) -> Tensor:
    """Equation (15) as a mean squared error against the raw word vectors."""
    return F.mse_loss(reconstructed, words)


def class_loss(o_av_BE: Tensor, o_w_CE: Tensor, targets_B: Tensor, temperature: float) -> Tensor:
    """``−log softmax_y(−‖O_av − O_w,y‖² / 2τ)`` of the clip's class, mean over the batch.

    The logits are computed as ``(O_avᵀ O_w − ‖O_w‖² / 2) / τ``, which differs from the above by a
    constant of the clip. The class loss is not in the paper, whose eq. (13) compares a clip with
    one other class at a time.

    Args:
        o_av_BE: audio-visual embeddings.
        o_w_CE: word embeddings of the stage's classes.
        targets_B: row of each clip's class.
        temperature: τ.
    """
    # torch.cdist would take MKL's square root, which rounds differently on Intel and AMD.
    logits_BC = o_av_BE @ o_w_CE.T - o_w_CE.square().sum(-1) / 2
    return F.cross_entropy(logits_BC / temperature, targets_B)


def rate_penalty(rates: Iterable[Tensor], limit: float) -> Tensor:
    """``Σ_layers [r − r_max]₊²``: keeps spiking layers sparse. It is not in the paper.

    Without it the rates of all layers rise with training, past a third by the twentieth epoch of
    the embedded benchmark.

    Args:
        rates: firing rate of each layer, scalars.
        limit: r_max.
    """
    return sum((F.relu(rate - limit).square() for rate in rates), torch.zeros(()))


def total_loss(
    o_av_BE: Tensor,
    reconstructed_BW: Tensor,
    o_w_CE: Tensor,
    words_CW: Tensor,
    targets_B: Tensor,
    negatives_B: Tensor,
    rates: Iterable[Tensor],
    config: LossConfig,
) -> dict[str, Tensor]:
    """``L_all = L_n + L_p + L_r`` plus the penalty on firing rates, and the terms.

    Args:
        o_av_BE: audio-visual embeddings.
        reconstructed_BW: their reconstructed word vectors.
        o_w_CE: word embeddings of the stage's classes.
        words_CW: raw word vectors of the stage's classes.
        targets_B: row of each clip's class in the two tables above.
        negatives_B: index in the batch of each clip's negative.
        rates: firing rate of each spiking layer.
        config: which terms are enabled, and γ.

    Returns:
        The enabled terms and their sum under ``total``.
    """
    o_w_BE = o_w_CE[targets_B]
    terms = {}
    if config.triplet:
        terms["triplet"] = triplet_loss(
            o_av_BE, o_w_BE, o_av_BE[negatives_B], o_w_BE[negatives_B], config.margin
        )
    if config.projection:
        terms["projection"] = projection_loss(o_av_BE, o_w_BE)
    if config.reconstruction:
        terms["reconstruction"] = reconstruction_loss(reconstructed_BW, words_CW[targets_B])
    if config.softmax:
        found = class_loss(o_av_BE, o_w_CE, targets_B, config.temperature)
        terms["softmax"] = config.softmax * found
    if config.rate_limit < 1:
        penalty = rate_penalty(rates, config.rate_limit)
        # Without a spiking layer the penalty is a zero on the CPU.
        terms["rate"] = config.rate_weight * penalty.to(o_av_BE.device)
    return {**terms, "total": torch.stack(list(terms.values())).sum()}
