"""Configurations: frozen dataclasses, saved as ``config.json`` in every run; free of torch."""

from mdft.config.data import DataConfig
from mdft.config.features import FeatureConfig
from mdft.config.model import LossConfig, ModelConfig, MotionConfig
from mdft.config.rendered import RenderedConfig
from mdft.config.train import ComputeConfig, TrainConfig

__all__ = [
    "ComputeConfig",
    "DataConfig",
    "FeatureConfig",
    "LossConfig",
    "ModelConfig",
    "MotionConfig",
    "RenderedConfig",
    "TrainConfig",
]
