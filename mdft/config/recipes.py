"""Recipes: named configurations; the docstring of each gives its command and its cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mdft.config.baselines import ClipClapConfig
from mdft.config.data import DataConfig
from mdft.config.model import LossConfig, ModelConfig, MotionConfig
from mdft.config.rendered import ClassCounts, RenderedConfig
from mdft.config.train import TrainConfig


def _narrow() -> ModelConfig:
    """A model for about a thousand clips: a quarter of the paper's width, the same heads of 64.

    Motion reaches the embedding as a value too, and clips are compared with classes in the space of
    the words (docs/spikes.md). The paper's form is one flag each: ``--model.motion.value gate
    --model.space joint --loss.softmax 0``.
    """
    return ModelConfig(dim=128, heads=2, space="words", motion=MotionConfig(value="both"))


def _loss() -> LossConfig:
    return LossConfig(softmax=1.0)


def embedded() -> TrainConfig:
    """The embedded benchmark: 48 rendered classes, both stages.

    ``python -m mdft.train`` · two minutes on two cores, rendering included · no download.
    """
    return TrainConfig(model=_narrow(), loss=_loss(), epochs=24, batch_size=32, learning_rate=1e-3)


def order() -> TrainConfig:
    """The benchmark of order: 64 rendered classes that differ in the order of what happens.

    ``python -m mdft.train order`` · three minutes on two cores, rendering included · no download.
    """
    return replace(embedded(), data=DataConfig(source="order"))


def debug() -> TrainConfig:
    """A few seconds: 12 small classes, two epochs. Its scores mean nothing.

    ``python -m mdft.train debug``
    """
    counts = ClassCounts(
        groups=4,
        seen_per_group=2,
        unseen_per_group=2,
        val_groups=1,
        test_groups=1,
        motions=4,
        clips_per_class=6,
        val_clips=1,
        test_clips=1,
    )
    rendered = RenderedConfig(counts=counts, seconds=2, fps=8, size=32)
    return TrainConfig(
        data=DataConfig(rendered=rendered), epochs=2, batch_size=16, learning_rate=1e-3
    )


def _published(encoder: float, decoder: float) -> TrainConfig:
    """Section 3.4 of the paper: 50 epochs of Adam at 1e-4, 512/64/300, 8 heads of 64.

    The estimated costs are extrapolated from one measured step: a batch of 256 clips of ten
    seconds takes 4.1 s on one core for forward and backward, 1.3 s for evaluation (2026-11-22).

    Args:
        encoder: dropout d_enc.
        decoder: dropout d_dec; here dropout_projection.
    """
    # TCaF trains on clips of at most 60 s.
    data = DataConfig(source="files", events="feature", max_seconds=60)
    model = ModelConfig(
        dropout_encoder=encoder, dropout_projection=decoder, dropout_words=0.1, heads=8
    )
    return TrainConfig(data=data, model=model, epochs=50, batch_size=256, learning_rate=1e-4)


def ucf() -> TrainConfig:
    """UCF-GZSL, or your own data in that layout.

    ``python -m mdft.train ucf --data.root DIR`` · estimated: 1 to 3 hours on two cores.
    Table 1 of the paper: S 48.79, U 23.11, HM 31.36, ZSL 31.53.
    """
    return _published(encoder=0.25, decoder=0.20)


def vggsound() -> TrainConfig:
    """VGGSound-GZSL.

    ``python -m mdft.train vggsound --data.root DIR`` · estimated: 17 hours
    on two cores; meant for a GPU.
    Table 1 of the paper: S 16.14, U 5.97, HM 8.72, ZSL 7.13.
    """
    return _published(encoder=0.20, decoder=0.25)


def activitynet() -> TrainConfig:
    """ActivityNet-GZSL.

    ``python -m mdft.train activitynet --data.root DIR`` · estimated: 17 hours
    on two cores; meant for a GPU.
    Table 1 of the paper: S 18.32, U 10.55, HM 13.39, ZSL 12.55.
    """
    return _published(encoder=0.10, decoder=0.15)


def _clipclap(recipe: TrainConfig, epochs: int, rate: float) -> TrainConfig:
    """ClipClap's features and hyperparameters, beside those of the paper for MDFT.

    CLIP's features are 512 wide, CLAP's 1024, and their text embeddings are concatenated. Its code
    has epochs of 300 batches of 64 clips, whatever the data; here an epoch is one pass.

    Args:
        recipe: the paper's recipe for these classes.
        epochs: published number of epochs.
        rate: published learning rate of ClipClap.
    """
    model = replace(recipe.model, audio_features=1024, visual_features=512, words=1536)
    baselines = replace(recipe.baseline, clipclap=ClipClapConfig(learning_rate=rate))
    return replace(recipe, model=model, baseline=baselines, epochs=epochs, batch_size=64)


def ucf_clipclap() -> TrainConfig:
    """UCF-GZSL on ClipClap's files of CLIP and CLAP features; --model clipclap or MDFT.

    ``python -m mdft.train ucf-clipclap --data.root DIR --model clipclap`` · estimated: minutes
    on two cores.
    Published HM of ClipClap: 56.0; MDFT on these features was not published.
    """
    return _clipclap(ucf(), epochs=20, rate=7e-5)


def vggsound_clipclap() -> TrainConfig:
    """VGGSound-GZSL on ClipClap's files of CLIP and CLAP features.

    ``python -m mdft.train vggsound-clipclap --data.root DIR --model clipclap`` · estimated: an
    hour on two cores.
    Published HM of ClipClap: 16.2.
    """
    return _clipclap(vggsound(), epochs=15, rate=1e-4)


def activitynet_clipclap() -> TrainConfig:
    """ActivityNet-GZSL on ClipClap's files of CLIP and CLAP features.

    ``python -m mdft.train activitynet-clipclap --data.root DIR --model clipclap`` · estimated:
    minutes on two cores.
    Published HM of ClipClap: 27.9.
    """
    return _clipclap(activitynet(), epochs=15, rate=1e-4)


def features() -> TrainConfig:
    """Feature files of about a thousand clips, without events of the pixels.

    ``python -m mdft.train features --data.root DIR`` · two minutes on two cores for 1,152 clips of
    four seconds. Features are whitened, and a ridge regression stands beside the network
    (docs/spikes.md, Features alone).
    """
    recipe = embedded()
    data = DataConfig(source="files", events="feature", max_seconds=60, whiten=True)
    model = replace(recipe.model, ridge=0.05)
    return replace(recipe, data=data, model=model, epochs=48, patience=10)


def folder() -> TrainConfig:
    """Your own video files: a folder with a subfolder of clips for each class.

    ``python -m mdft.train folder --data.root CLIPS`` · estimated: some minutes on two cores for
    ten classes of ten short clips · no download (docs/predict.md).
    """
    data = DataConfig(source="folder", max_seconds=60)
    return TrainConfig(
        data=data, model=_narrow(), loss=_loss(), epochs=30, batch_size=32, learning_rate=1e-3
    )


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    "embedded": embedded,
    "order": order,
    "debug": debug,
    "ucf": ucf,
    "vggsound": vggsound,
    "activitynet": activitynet,
    "ucf-clipclap": ucf_clipclap,
    "vggsound-clipclap": vggsound_clipclap,
    "activitynet-clipclap": activitynet_clipclap,
    "features": features,
    "folder": folder,
}
