"""Export of the model's variants: a threshold a neuron, one modality, no spiking network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from export.to_nir import main
from hardware.run import main as run_main
from mdft.config.model import MotionConfig
from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from tests.backends import every_backend
from tests.export.conftest import make_run
from tests.mdft.small import D, random_clips, small_config, small_model
from tests.nir_here import reading_here

pytestmark = pytest.mark.rounding

PER_NEURON = small_config(model=small_model(motion=MotionConfig(per_neuron=True, rate=0.12)))


@pytest.fixture
def any_run(tmp_path: Path, clips: ClipSet, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mdft.runs.load.clips_of", lambda run: clips)
    return lambda config: make_run(tmp_path / "run", clips, config)


@pytest.fixture(scope="module")
def per_neuron(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a threshold a neuron and its export, level 0 compared; not to be changed."""
    clips = random_clips(ragged=True)
    run = make_run(tmp_path_factory.mktemp("per_neuron") / "run", clips, PER_NEURON)
    with pytest.MonkeyPatch.context() as patch, reading_here():
        patch.setattr("mdft.runs.load.clips_of", lambda run: clips)
        assert main([str(run), "--samples", "4"]) == 0
    return run


@every_backend
def test_a_threshold_a_neuron_goes_through_every_backend(per_neuron: Path, backend: str):
    """Level 0 in nirtorch with snnTorch by ``main``, the others from the files."""
    run = per_neuron
    about = json.loads((run / "manifest.json").read_text())
    for pathway in ("audio", "visual"):
        width = about["pathways"][pathway]["inputs"]["threshold_current"]["width"]
        with np.load(run / "probe.npz") as probe:
            current = probe[f"{pathway}.in.threshold_current"]
            spikes = probe[f"{pathway}.spikes.out"]
        assert current.shape[-1] == width == D
        assert current.std(-1).max() > 0 and 0.005 < spikes.mean() < 0.5
        graph = run / f"motion_{pathway}.nir"
        assert run_main([str(graph), str(run / "probe.npz"), "--backend", backend]) == 0


def test_one_modality_exports_its_pathway_alone(any_run):
    run = any_run(small_config(model=small_model(modality="visual")))
    assert main([str(run), "--samples", "4"]) == 0
    assert sorted(p.name for p in run.glob("*.nir")) == ["motion_visual.nir"]
    assert set(json.loads((run / "manifest.json").read_text())["pathways"]) == {"visual"}


@pytest.mark.parametrize("motion", [MotionConfig(network="mlp"), MotionConfig(enabled=False)])
def test_without_a_spiking_network_there_is_nothing_to_export(any_run, motion: MotionConfig):
    run = any_run(small_config(model=small_model(motion=motion)))
    with pytest.raises(UserError, match="trained without a spiking network"):
        main([str(run)])
