"""Video networks of torchvision, by name: the vector before the classifier, one per second."""

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

#: The networks take one second of frames at a time, about the length that they were trained on.
FRAMES_PER_SECOND = 16
_HEADS = ("fc", "head", "classifier")


def video_network(name: str, config: FeatureConfig) -> Backbone:
    """A video network of torchvision without its classifier.

    Frames, 16 per second, are resized, cropped and normalised by the preprocessing that
    torchvision publishes for the network's weights. Audio features are those of the frozen
    extractor, 512 wide, because torchvision has no audio network.

    Args:
        name: name of the network, such as ``r2plus1d_18``; nothing is ever downloaded.
        config: gives the checkpoint, as torchvision saves it; without one, weights are random
            with the configuration's seed.

    Raises:
        UserError: torchvision is missing or has no such network, or the weights do not fit.
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
            f"warning: {name} has random weights (seed {config.seed}), so its features are not "
            "trained; give its weights with --checkpoint"
        )
    preset = models.get_model_weights(name).DEFAULT.transforms()
    extractor = make_extractor(config.seed, config.sample_rate)
    return Backbone(
        frame_size=preset.resize_size[0],
        frames_per_second=FRAMES_PER_SECOND,
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
    def __call__(self, frames: np.ndarray) -> np.ndarray:
        rows = []
        for start in range(0, len(frames), FRAMES_PER_SECOND):
            second = torch.from_numpy(frames[start : start + FRAMES_PER_SECOND])
            rows.append(self.network(self.preset(second.permute(0, 3, 1, 2))[None]).flatten())
        return torch.stack(rows).numpy()
