"""Video networks of torchvision, by name: the vector before their classifier, a second each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from mdft.config.features import FeatureConfig
from mdft.data.extractor import make_extractor, sound_features
from mdft.data.video.backbone import Backbone
from mdft.data.video.weights import load_strictly
from mdft.errors import UserError, closest

if TYPE_CHECKING:
    from types import ModuleType

#: Pictures a second: what these networks were trained on at a time, about.
PICTURES = 16
_HEADS = ("fc", "head", "classifier")


def video_network(name: str, config: FeatureConfig) -> Backbone:
    """A video network of torchvision without its classifier.

    Pictures go through the preprocessing that torchvision publishes for the network's weights:
    16 a second, resized, cropped, normalised. Sound is the frozen extractor's, 512 wide:
    torchvision has no network for it.

    Args:
        name: such as ``r2plus1d_18``; nothing is ever downloaded.
        config: its checkpoint has the weights, as torchvision saves them; random ones of its
            seed without.

    Raises:
        UserError: torchvision is absent or has no such network, or the weights do not fit.
    """
    models = torchvision_models()
    known = models.list_models(module=models.video)
    if name not in known:
        raise UserError(
            f"--backbone torchvision:{name}: expected one of {', '.join(known)}"
            f"{closest(name, known)}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = models.get_model(name, weights=None)
    head = next(h for h in _HEADS if hasattr(network, h))
    setattr(network, head, nn.Identity())
    note = ""
    if config.checkpoint is not None:
        load_strictly(network, config.checkpoint, heads=rf"{head}\.")
    else:
        note = (
            f"warning: {name} has random weights of seed {config.seed}: its features know "
            "nothing; name its weights with --checkpoint"
        )
    preset = models.get_model_weights(name).DEFAULT.transforms()
    extractor = make_extractor(config.seed, config.sample_rate)
    return Backbone(
        frame_size=preset.resize_size[0],
        frames_per_second=PICTURES,
        sound_rate=config.sample_rate,
        visual=_Visual(network.eval(), preset),
        audio=lambda sound: sound_features(sound, extractor),
        note=note,
    )


def torchvision_models() -> ModuleType:
    """``torchvision.models``.

    Raises:
        UserError: torchvision is not installed.
    """
    try:
        from torchvision import models
    except ImportError as error:
        raise UserError(
            "--backbone: this network needs torchvision; install it (`uv pip install "
            "torchvision`), or use --backbone frozen"
        ) from error
    return models


class _Visual:
    """(T·16, H, W, 3) uint8 → (T, D) float32, second by second in bounded memory."""

    def __init__(self, network: nn.Module, preset: Any) -> None:
        self.network, self.preset = network, preset

    @torch.no_grad()
    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        rows = []
        for start in range(0, len(pictures), PICTURES):
            frames = torch.from_numpy(pictures[start : start + PICTURES]).permute(0, 3, 1, 2)
            rows.append(self.network(self.preset(frames)[None]).flatten())
        return torch.stack(rows).numpy()
