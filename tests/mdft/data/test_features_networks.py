"""The networks of mdft.features: what they compute, and which weights they take."""

from __future__ import annotations

import argparse
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mdft.config.features import FeatureConfig
from mdft.data.video import selavi
from mdft.data.video.backbones import make_backbone
from mdft.data.video.selavi import mel_triangles, spectrogram
from mdft.data.video.weights import load_strictly, read_weights
from mdft.errors import UserError

pytestmark = pytest.mark.rounding

torchvision = pytest.importorskip("torchvision")


def published(network: nn.Module) -> dict[str, torch.Tensor]:
    """Weights as the authors save them: from several GPUs, with their clustering heads."""
    weights = {f"module.{name}": value for name, value in network.state_dict().items()}
    return weights | {"module.mlp_v0.block_forward.2.weight": torch.zeros(4, 512)}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file such as theirs, of random weights: settings and optimiser in it, the old format."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "selavi.pth"
    content = {
        "model": published(selavi.networks()),
        "epoch": 150,
        "args": argparse.Namespace(headcount=10),
        "optimizer": {"state": {}},
    }
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def test_selavi_takes_a_checkpoint_of_the_authors_format(checkpoint: Path):
    backbone = make_backbone(FeatureConfig(backbone="selavi", checkpoint=checkpoint))
    assert (backbone.frame_size, backbone.frames_per_second) == (112, 30)
    sound = np.random.default_rng(0).normal(0, 0.1, 2 * 44100).astype(np.float32)
    audio = backbone.audio(sound)
    assert audio.shape == (2, 512) and not np.allclose(audio[0], audio[1])

    # The same by torchvision's own modules, from the file itself.
    weights = torch.load(checkpoint, weights_only=False)["model"]
    pair = selavi.networks()
    load_strictly(pair, checkpoint, selavi.HEADS)
    video = torchvision.models.video.r2plus1d_18(weights=None)
    found = pair["video_network"].get_submodule("base").state_dict()
    assert found.keys() == video.state_dict().keys() - {"fc.weight", "fc.bias"}
    prefix = "module.video_network.base."
    assert all(torch.equal(weights[prefix + name], value) for name, value in found.items())
    heard = pair.eval()["audio_network"].get_submodule("base")
    with torch.no_grad():
        expected = heard(spectrogram(sound[44100:])[None, None])[0].numpy()
    np.testing.assert_array_equal(audio[1], expected)


def test_selavi_sees_thirty_pictures_a_second_in_the_order_of_their_networks():
    """The network's place is taken by one that shows its input."""
    pictures = np.random.default_rng(0).integers(0, 256, (60, 112, 150, 3), dtype=np.uint8)
    seen: list[torch.Tensor] = []

    class Shows(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x.mean((2, 3, 4))

    assert selavi.visual_features(Shows(), pictures).shape == (2, 3)
    crop = torch.from_numpy(pictures[30:, :, 19:131]).permute(3, 0, 1, 2)[None].float()
    torch.testing.assert_close(seen[1], (crop / 255 - 0.45) / 0.225)


def test_pictures_of_another_size_are_resized_and_cropped_in_the_middle():
    x = torch.arange(224 * 300, dtype=torch.float32).reshape(1, 1, 224, 300)
    cropped = selavi._cropped(x)
    assert cropped.shape == (1, 1, 112, 112)
    # Every other row and column, 150 wide: 19 columns to the left. A ramp stays a ramp.
    assert cropped[0, 0, 0, 0] == pytest.approx(x[0, 0, :2, 38:40].mean().item())


def loops(samples: np.ndarray) -> np.ndarray:
    """The spectrogram in plain loops, as the package's documentation says it."""
    emphasised = [samples[0]] + [samples[n] - 0.97 * samples[n - 1] for n in range(1, 44100)]
    emphasised += [0.0] * 882
    hz = [
        700 * (10 ** (i * (2595 * np.log10(1 + 22050 / 700)) / 258 / 2595) - 1) for i in range(259)
    ]
    corner = [int(np.floor(1025 * f / 44100)) for f in hz]
    out = np.zeros((257, 3))
    for frame, start in enumerate((0, 441 * 50, 441 * 98)):
        window = emphasised[start : start + 882] + [0.0] * (1024 - 882)
        power = np.abs(np.fft.fft(window)[:513]) ** 2 / 1024
        for j in range(257):
            low, mid, high = corner[j : j + 3]
            energy = sum(power[i] * (i - low) / (mid - low) for i in range(low, mid))
            energy += sum(power[i] * (high - i) / (high - mid) for i in range(mid, high))
            out[j, frame] = np.log(energy if energy else np.finfo(float).eps)
    return (out - 1.93) / 17.89


def test_the_spectrogram_is_that_of_plain_loops():
    rng = np.random.default_rng(1)
    sound = np.sin(np.arange(44100) * 0.05) * 0.3 + rng.normal(0, 0.05, 44100)
    found = spectrogram(sound.astype(np.float32)).numpy()
    assert found.shape == (257, 99)
    samples = np.round(sound.astype(np.float32).astype(float) * 32768)
    np.testing.assert_allclose(found[:, [0, 50, 98]], loops(samples), atol=1e-5)
    assert (mel_triangles().sum(1) == 0).any()  # the lowest filters span no bin


@pytest.mark.parametrize("name", ["r3d_18", "s3d"])
def test_a_torchvision_network_by_name_with_random_weights_says_so(name: str):
    backbone = make_backbone(FeatureConfig(backbone=f"torchvision:{name}"))
    assert "random weights" in backbone.note
    pictures = np.zeros((16, backbone.frame_size, backbone.frame_size + 40, 3), np.uint8)
    assert backbone.visual(pictures).shape == (1, {"r3d_18": 512, "s3d": 1024}[name])
    assert backbone.audio(np.zeros(8000, np.float32)).shape == (1, 512)


def test_a_network_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"torchvision:r2plus1d_19.*did you mean 'r2plus1d_18'"):
        make_backbone(FeatureConfig(backbone="torchvision:r2plus1d_19"))
    with pytest.raises(UserError, match=r"needs the authors' selavi_vgg_sound\.pth"):
        make_backbone(FeatureConfig(backbone="selavi"))
    with pytest.raises(UserError, match="resnet"):
        make_backbone(FeatureConfig(backbone="resnet"))


def small() -> nn.Module:
    return nn.ModuleDict({"a": nn.Linear(2, 3), "n": nn.BatchNorm1d(3)})


def test_good_weights_are_taken_from_either_format(tmp_path: Path):
    given = small().state_dict()
    torch.save(given, tmp_path / "w.pth")
    save_file(given, tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        other = small()
        load_strictly(other, tmp_path / name, heads=r"head\.")
        assert all(torch.equal(given[k], v) for k, v in other.state_dict().items())


def without(name: str):
    return lambda weights: {k: v for k, v in weights.items() if k != name}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (without("a.bias"), "1 of 7 weights are missing, such as 'a.bias'"),
        (lambda w: w | {"c.weight": torch.zeros(1)}, "weight 'c.weight' is unknown"),
        (lambda w: w | {"a.weight": torch.zeros(3, 3)}, r"'a.weight' is \(3, 3\), expected \(3, 2"),
        (lambda w: w | {"a.weight": torch.full((3, 2), torch.nan)}, "'a.weight' is not finite"),
        (lambda w: w | {"a.weight": torch.zeros(3, 2).long()}, "'a.weight' is torch.int64"),
        (lambda w: w | {"a.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}, "expected"),
        (lambda w: w | {"a.weight": torch.zeros(3, 2, device="meta")}, "'a.weight' is"),
        (lambda w: w | {"a.weight": torch.eye(3, 2).to_sparse()}, "'a.weight' is"),
        (lambda w: [1, 2], "holds list"),
        (lambda w: {"epoch": 1}, "no tensor"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path: Path, change, named: str):
    path = tmp_path / "w.pth"
    torch.save(change(dict(small().state_dict())), path)
    with pytest.raises(UserError, match=named) as error:
        load_strictly(small(), path, heads=r"head\.")
    assert str(path) in str(error.value) and "\n" not in str(error.value)


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


def test_a_checkpoint_that_would_run_code_does_not(tmp_path: Path):
    path = tmp_path / "evil.pth"
    torch.save({"model": {"a.weight": Evil()}}, path)
    with pytest.raises(UserError, match="not a checkpoint of tensors"):
        read_weights(path)
    path.write_bytes(pickle.dumps({"a": Evil()}))
    with pytest.raises(UserError, match="not a checkpoint of tensors"):
        read_weights(path)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path):
    box = io.BytesIO()
    torch.save({"a": torch.zeros(1 << 20)}, box)
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(box) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for entry in source.infolist():
            out.writestr(entry.filename, source.read(entry))
    with pytest.raises(UserError, match="unpacks to"):
        read_weights(path)
