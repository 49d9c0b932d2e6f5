"""The backbone clip-clap: the outputs of transformers' own models, and mistakes in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mdft.config.features import FeatureConfig
from mdft.data.video.backbones import make_backbone
from mdft.errors import UserError
from mdft.inference.zero_shot import zero_shot
from tests.mdft.data.tiny_clip_clap import write_models

pytestmark = pytest.mark.rounding

transformers = pytest.importorskip(
    "transformers", reason="transformers is absent: uv sync --extra clip-clap"
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> FeatureConfig:
    clip, clap = write_models(tmp_path_factory.mktemp("hub"), transformers)
    return FeatureConfig(backbone="clip-clap", clip=str(clip), clap=str(clap))


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 44, 3)).astype(np.uint8)


def noise(seconds: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, seconds * 8000).astype(np.float32)


def pooled(found: object) -> torch.Tensor:
    """Embeddings of `get_…_features`: a tensor, or in newer releases an output that has one."""
    return found if isinstance(found, torch.Tensor) else found.pooler_output  # type: ignore


@torch.no_grad()
def test_features_are_those_of_transformers(config: FeatureConfig):
    backbone = make_backbone(config)
    assert (backbone.frame_size, backbone.sound_rate) == (32, 8000)
    clip = transformers.CLIPModel.from_pretrained(config.clip).eval()
    prepare = transformers.AutoImageProcessor.from_pretrained(config.clip)
    frames = images(3)
    given = prepare(images=list(frames), return_tensors="pt")
    expected = pooled(clip.get_image_features(**given)).numpy()
    np.testing.assert_allclose(backbone.visual(frames), expected, rtol=1e-5, atol=1e-6)

    clap = transformers.ClapModel.from_pretrained(config.clap).eval()
    extract = transformers.AutoFeatureExtractor.from_pretrained(config.clap)
    sound = noise(2)
    given = extract([sound[:8000], sound[8000:]], sampling_rate=8000, return_tensors="pt")
    expected = pooled(clap.get_audio_features(**given)).numpy()
    # get_audio_features of CLAP scales to unit length.
    found = backbone.audio(sound)
    found = found / np.linalg.norm(found, axis=1, keepdims=True)
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_scores_are_the_probabilities_of_transformers(config: FeatureConfig):
    """One frame and one second: the softmax of `logits_per_image` and `logits_per_audio`."""
    names = ["dog barking", "playing cello", "rain"]
    labeller = zero_shot(config, names, ["a video of {}"])
    backbone = labeller.backbone
    found = labeller.labeller(backbone.audio(noise(1)), backbone.visual(images(1)))
    texts = [f"a video of {name}" for name in names]

    clip = transformers.CLIPModel.from_pretrained(config.clip).eval()
    given = transformers.AutoTokenizer.from_pretrained(config.clip)(
        texts, padding=True, return_tensors="pt"
    )
    prepare = transformers.AutoImageProcessor.from_pretrained(config.clip)
    given |= prepare(images=list(images(1)), return_tensors="pt")
    expected = clip(**given).logits_per_image.softmax(-1)[0].numpy()
    np.testing.assert_allclose(np.exp(found["visual"].log_C), expected, rtol=1e-4)

    clap = transformers.ClapModel.from_pretrained(config.clap).eval()
    given = transformers.AutoTokenizer.from_pretrained(config.clap)(
        texts, padding=True, return_tensors="pt"
    )
    extract = transformers.AutoFeatureExtractor.from_pretrained(config.clap)
    given |= extract(noise(1), sampling_rate=8000, return_tensors="pt")
    expected = clap(**given).logits_per_audio.softmax(-1)[0].numpy()
    np.testing.assert_allclose(np.exp(found["audio"].log_C), expected, rtol=1e-4)


def test_words_are_both_towers_side_by_side(config: FeatureConfig):
    language = make_backbone(config).language
    assert language is not None
    vectors = language.vectors(["dog barking", "rain"])
    assert vectors.shape == (2, 12 + 10)
    np.testing.assert_allclose(np.square(vectors[:, :12]).sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.square(vectors[:, 12:]).sum(1), 1, rtol=1e-5)


def test_a_model_that_is_not_here_is_never_downloaded(config: FeatureConfig, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    wanted = FeatureConfig(backbone="clip-clap", clip="no-such/model", clap=config.clap)
    with pytest.raises(UserError, match=r"--clip no-such/model: cannot be loaded.*hf download"):
        make_backbone(wanted)


def test_another_kind_of_model_is_refused(config: FeatureConfig):
    wanted = FeatureConfig(backbone="clip-clap", clip=config.clap, clap=config.clap)
    with pytest.raises(UserError, match="a model of type clap, expected a CLIP model"):
        make_backbone(wanted)


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors", "vocab"])
def test_a_damaged_folder_is_one_line(config: FeatureConfig, tmp_path: Path, damage: str):
    folder = tmp_path / "clip"
    shutil.copytree(config.clip, folder)
    if damage == "vocab":
        for name in ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json"):
            (folder / name).unlink(missing_ok=True)
    else:
        content = (folder / damage).read_bytes()
        (folder / damage).write_bytes(content[: len(content) // 2])
    wanted = FeatureConfig(backbone="clip-clap", clip=str(folder), clap=config.clap)
    with pytest.raises(
        UserError, match=r"--clip .*: (cannot be loaded from this|its tokeniser has)"
    ):
        make_backbone(wanted)


def test_settings_of_other_backbones_do_not_name_the_models(config: FeatureConfig):
    """So that features that were extracted by an earlier release are found again."""
    assert "clip" not in FeatureConfig().described()
    described = config.described()
    assert described["clip"] == config.clip and "download" not in described
    json.dumps(described)
