"""f-VAEGAN: Xian et al., f-VAEGAN-D2, CVPR 2019, without its transductive critic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from mdft.config.baselines import FVAEGANConfig
from mdft.config.model import ModelConfig
from mdft.data.dataset import Batch, ClipSet
from mdft.data.stages import Stage
from mdft.errors import UserError
from mdft.systems.blocks import concatenated
from mdft.systems.interface import Embedded, Loss, System, TrainingBatch, joint, summed

_READ = 256


class FVAEGAN(System):
    """A conditional VAE whose decoder is the generator of a Wasserstein GAN, then a classifier.

    Phase 1 trains a generator of averaged features x from a word vector w and noise z. Phase 2,
    :meth:`prepare`, trains a linear softmax classifier on real clips of the trained classes and
    generated clips of the unseen candidates; the classifier computes the scores.

    Args:
        widths: the widths of the data.
        config: hyperparameters.
    """

    needs_negatives = False
    steps: Tensor
    classifier_CF: Tensor
    classifier_words_CW: Tensor

    def __init__(self, widths: ModelConfig, config: FVAEGANConfig) -> None:
        super().__init__()
        self.config = c = config
        features, W = widths.audio_features + widths.visual_features, widths.words
        self.encoder = nn.Sequential(
            nn.Linear(features + W, c.hidden_encoder),
            nn.ReLU(),
            nn.Linear(c.hidden_encoder, 2 * c.latent),
        )
        self.generator = nn.Sequential(
            nn.Linear(c.latent + W, c.hidden_generator),
            nn.ReLU(),
            nn.Linear(c.hidden_generator, features),
        )
        self.critic = nn.Sequential(
            nn.Linear(features + W, c.hidden_critic),
            nn.LeakyReLU(0.2),
            nn.Linear(c.hidden_critic, 1, bias=False),  # a bias would cancel in every difference
        )
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("classifier_CF", torch.zeros(0, features + 1))
        self.register_buffer("classifier_words_CW", torch.zeros(0, W))

    def loss(self, batch: TrainingBatch) -> Loss:
        """The critic's loss in every step, the generator's in one of ``critic_steps``.

        Each has gradients only in its own networks, so that one optimiser is enough.
        """
        x_BF = concatenated(batch.clips)
        w_BW = batch.words_CW[batch.targets_B]
        fake_BF = self.generate(w_BW)
        terms = self._critic_terms(x_BF, fake_BF.detach(), w_BW)
        if int(self.steps) % self.config.critic_steps == 0:
            terms |= self._generator_terms(x_BF, fake_BF, w_BW)
        self.steps += 1
        return summed(terms)

    def generate(self, w_BW: Tensor) -> Tensor:
        """Generate features (B,F) from word vectors and new noise."""
        noise = torch.randn(len(w_BW), self.config.latent, device=w_BW.device, dtype=w_BW.dtype)
        return self.generator(torch.cat([noise, w_BW], dim=1))

    def embed_clips(self, batch: Batch) -> Embedded:
        """Averaged features of unit length with a 1 appended for the bias, (B,1,F+1)."""
        return joint(_with_one(F.normalize(concatenated(batch))))

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """The classifier's weights and biases of these classes, (C,F+1).

        Raises:
            UserError: the classifier was not trained on a class.
        """
        same_CC = (words_CW[:, None] == self.classifier_words_CW).all(-1)
        if not same_CC.any(1).all():
            raise UserError(
                f"f-VAEGAN: {int((~same_CC.any(1)).sum())} of the requested classes are not among "
                f"the {len(self.classifier_words_CW)} classes of its classifier; it scores "
                "only the candidates of its last stage"
            )
        return self.classifier_CF[same_CC.int().argmax(1)]

    def distances(self, clips: Embedded, o_w_CE: Tensor) -> np.ndarray:
        """``−log softmax_y(x · w_y + b_y)`` over the candidates, (B,C)."""
        logits_BC = clips.o_BRE[:, 0].double() @ o_w_CE.double().T
        return -logits_BC.log_softmax(1).numpy(force=True)

    def prepare(self, clips: ClipSet, stage: Stage, epoch: int) -> None:
        """Phase 2: fit the classifier."""
        device = self.steps.device
        indices = clips.splits[stage.train]
        trained_C = np.unique(clips.labels_N[indices])
        unseen_C = np.setdiff1d(clips.classes_of(stage.seen, stage.unseen), trained_C)
        classes_C = np.concatenate([trained_C, unseen_C])
        words_CW = torch.tensor(clips.words_CW[classes_C], device=device)
        real = [concatenated(batch) for batch in _batches(clips, indices, device)]
        target_N = torch.from_numpy(np.searchsorted(trained_C, clips.labels_N[indices]))
        fake_C = torch.arange(len(trained_C), len(classes_C)).repeat_interleave(
            self.config.synthetic
        )
        with torch.no_grad():
            fake_NF = self.generate(words_CW[fake_C.to(device)])
        x_NF = _with_one(F.normalize(torch.cat([*real, fake_NF])))
        self.classifier_CF = self._fit(x_NF, torch.cat([target_N, fake_C]).to(device))
        self.classifier_words_CW = words_CW

    def _critic_terms(self, x_BF: Tensor, fake_BF: Tensor, w_BW: Tensor) -> dict[str, Tensor]:
        """``D(x̃) − D(x) + λ (‖∇D(x̂)‖₂ − 1)²``, x̂ interpolated between x and x̃."""
        share_B1 = torch.rand(len(x_BF), 1, device=x_BF.device, dtype=x_BF.dtype)
        between_BF = (share_B1 * x_BF + (1 - share_B1) * fake_BF).requires_grad_()
        score = self._critic_score(between_BF, w_BW).sum()
        (slope_BF,) = torch.autograd.grad(score, between_BF, create_graph=True)
        penalty = (slope_BF.norm(dim=1) - 1).square().mean()
        return {
            "critic": (self._critic_score(fake_BF, w_BW) - self._critic_score(x_BF, w_BW)).mean(),
            "penalty": self.config.penalty * penalty,
        }

    def _generator_terms(self, x_BF: Tensor, fake_BF: Tensor, w_BW: Tensor) -> dict[str, Tensor]:
        """``½‖x − x̂‖² + KL(q(z|x,w) ‖ N(0,1)) − g (D(x̂) + D(x̃))``."""
        mean_BZ, log_variance_BZ = self.encoder(torch.cat([x_BF, w_BW], dim=1)).chunk(2, dim=1)
        z_BZ = mean_BZ + torch.randn_like(mean_BZ) * (0.5 * log_variance_BZ).exp()
        again_BF = self.generator(torch.cat([z_BZ, w_BW], dim=1))
        variance_BZ = log_variance_BZ.exp()
        kl_B = 0.5 * (mean_BZ.square() + variance_BZ - 1 - log_variance_BZ).sum(1)
        weights = {name: p.detach() for name, p in self.critic.named_parameters()}
        scores = [self._critic_score(x, w_BW, weights) for x in (again_BF, fake_BF)]
        return {
            "reconstruction": 0.5 * (again_BF - x_BF).square().sum(1).mean(),
            "divergence": kl_B.mean(),
            "generator": -self.config.gan_weight * (scores[0] + scores[1]).mean(),
        }

    def _critic_score(
        self, x_BF: Tensor, w_BW: Tensor, weights: dict[str, Any] | None = None
    ) -> Tensor:
        """The critic's output, (B,), with its own weights or with given ones."""
        given_BX = torch.cat([x_BF, w_BW], dim=1)
        if weights is None:
            return self.critic(given_BX)[:, 0]
        return functional_call(self.critic, weights, (given_BX,))[:, 0]

    @torch.enable_grad()
    def _fit(self, x_NF: Tensor, target_N: Tensor) -> Tensor:
        """Weights and biases (C,F+1) of a linear softmax classifier."""
        c, classes = self.config, int(target_N.max()) + 1
        weight_CF = 0.02 * torch.randn(classes, x_NF.shape[1], device=x_NF.device)
        weight_CF.requires_grad_()
        optimizer = torch.optim.Adam([weight_CF], lr=c.classifier_rate, betas=(c.beta1, 0.999))
        for _ in range(c.classifier_epochs):
            order_N = torch.randperm(len(x_NF), device=x_NF.device)
            for chosen in order_N.split(c.classifier_batch):
                loss = F.cross_entropy(x_NF[chosen] @ weight_CF.T, target_N[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return weight_CF.detach()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in (
            "classifier_CF",
            "classifier_words_CW",
        ):  # the number of classes depends on the last stage
            saved = state_dict.get(prefix + name)
            if saved is not None:
                setattr(self, name, torch.empty_like(saved, device=self.steps.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _batches(clips: ClipSet, indices: np.ndarray, device: torch.device) -> Iterator[Batch]:
    for start in range(0, len(indices), _READ):
        yield clips.batch(indices[start : start + _READ]).to(device)


def _with_one(x_NF: Tensor) -> Tensor:
    return torch.cat([x_NF, x_NF.new_ones(len(x_NF), 1)], dim=1)
