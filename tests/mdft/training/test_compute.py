"""How a run computes changes its speed: bfloat16 and compilation, against plain float32."""

import copy
import dataclasses
from pathlib import Path

import pytest
import torch

from mdft.config.train import ComputeConfig
from mdft.data.dataset import ClipSet
from mdft.data.stages import STAGES
from mdft.errors import UserError
from mdft.model.mdft import MDFT
from mdft.systems.build import build
from mdft.training.batches import TrainingBatches
from mdft.training.compute import compile_dense, dense_precision
from mdft.training.feed import feed_of
from mdft.training.run import check_same
from mdft.training.trainer import Trainer
from tests.mdft.small import float64, in_double, small_config, small_model
from tests.mdft.small_baselines import TRAINED

pytestmark = pytest.mark.rounding

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", TRAINED)
def test_every_system_learns_in_bfloat16_what_it_learns_in_float32(name, ragged_clips: ClipSet):
    config = small_config(system=name)
    batches = TrainingBatches(
        ragged_clips, feed_of(ragged_clips, CPU), STAGES[0], 24, torch.Generator().manual_seed(0)
    )
    torch.manual_seed(0)
    system = build(config)
    system.calibrate(batches.whole())
    system.eval()  # no dropout: both see the same
    _, batch = next(batches.epoch(negatives=system.needs_negatives))

    def learn(compute: ComputeConfig) -> tuple[float, list[torch.Tensor]]:
        torch.manual_seed(1)  # f-VAEGAN draws noise, and trains critic and generator in turns
        loop = copy.deepcopy(system)
        with dense_precision(compute, CPU):
            loss = loop.loss(batch).terms["total"]
        loss.backward()
        return loss.item(), [p.grad for p in loop.parameters() if p.grad is not None]

    plain, _ = learn(ComputeConfig())
    loss, slopes = learn(ComputeConfig(autocast=True))
    assert loss == pytest.approx(plain, rel=0.05)  # seeds 0 to 5, all systems: 0.0038 at most
    assert loss != plain, "nothing was computed in bfloat16"
    assert slopes and all(torch.isfinite(slope).all() for slope in slopes)
    assert learn(ComputeConfig())[0] == plain


def trainer(clips: ClipSet, folder: Path, compute: ComputeConfig, **changes) -> Trainer:
    folder.mkdir(exist_ok=True)
    config = small_config(compute=compute, **changes)
    return Trainer(config, clips, folder, lambda record: None)


def test_bfloat16_without_a_gpu_is_refused(clips: ClipSet, tmp_path: Path):
    with pytest.raises(UserError, match=r"compute\.autocast.*cpu.*--device cuda"):
        trainer(clips, tmp_path, ComputeConfig(autocast=True))


def test_a_baseline_is_not_compiled(clips: ClipSet, tmp_path: Path):
    with pytest.raises(UserError, match=r"compute\.compile.*--model avca"):
        trainer(clips, tmp_path, ComputeConfig(compile="default"), system="avca")


def test_a_run_is_resumed_with_another_feed(clips: ClipSet, tmp_path: Path):
    trainer(clips, tmp_path, ComputeConfig()).run()
    check_same(tmp_path, small_config(compute=ComputeConfig(feed="device")))
    with pytest.raises(UserError, match="seed"):
        check_same(tmp_path, small_config(seed=1))


#: torch's tracer looks at what it warns of.
traced = pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")


def one_step(clips: ClipSet, device: torch.device, compute: ComputeConfig) -> list[torch.Tensor]:
    """Loss and gradients of a first step without dropout, in float64.

    In float32 a threshold may move by a step of its grid where operations are fused.
    """
    torch.manual_seed(0)
    none = {f"dropout_{name}": 0.0 for name in ("encoder", "projection", "words")}
    clips = in_double(clips)
    with float64():
        system = build(small_config(model=small_model(**none))).to(device)
    generator = torch.Generator(device).manual_seed(0)
    batches = TrainingBatches(clips, feed_of(clips, device, "stream"), STAGES[0], 24, generator)
    system.calibrate(batches.whole())
    names = list(system.state_dict())
    compile_dense(system, compute.compile)
    _, batch = next(batches.epoch(negatives=True))
    loss = system.train().loss(batch).terms["total"]
    loss.backward()
    assert list(system.state_dict()) == names, "a checkpoint would not be read without compiling"
    return [loss.detach(), *(p.grad for p in system.parameters() if p.grad is not None)]


@traced
@pytest.mark.slow
def test_a_compiled_step_is_a_plain_one(ragged_clips: ClipSet, monkeypatch):
    """Graphs and their gradients as torch.compile captures them, without minutes of C++."""
    capture = torch.compile
    monkeypatch.setattr(torch, "compile", lambda work, *, mode: capture(work, backend="aot_eager"))
    plain = one_step(ragged_clips, CPU, ComputeConfig())
    for found, expected in zip(
        one_step(ragged_clips, CPU, ComputeConfig(compile="default")), plain, strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@traced
@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_on_a_gpu_a_compiled_step_is_a_plain_one(ragged_clips: ClipSet, mode):
    cuda = torch.device("cuda")
    plain = one_step(ragged_clips, cuda, ComputeConfig())
    for found, expected in zip(
        one_step(ragged_clips, cuda, ComputeConfig(compile=mode)), plain, strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_what_is_compiled_is_called(ragged_clips: ClipSet, monkeypatch):
    """Each compiled part is on the road of a batch: none is compiled for nothing."""
    called = []

    def record(work, mode):
        name = getattr(work, "__qualname__", type(work).__name__)
        return lambda *given, **named: called.append((name, mode)) or work(*given, **named)

    torch.manual_seed(0)
    system = build(small_config()).eval()
    batch = ragged_clips.batch(ragged_clips.splits["val_seen"])
    expected = system.embed_clips(batch).o_BRE
    monkeypatch.setattr(torch, "compile", lambda work, *, mode: record(work, mode))
    compile_dense(system, "reduce-overhead")
    assert torch.equal(system.embed_clips(batch).o_BRE, expected)
    steps = ragged_clips.seconds_N[ragged_clips.splits["val_seen"]].max()
    assert [name for name, _ in called] == ["joint_step"] * steps + [
        "ResidualMLP.forward",
        "ResidualMLP.forward",
        "CrossModalTransformer.forward",
    ]
    assert {mode for _, mode in called} == {"reduce-overhead"}


def test_results_of_a_cuda_graph_are_kept(ragged_clips: ClipSet, monkeypatch):
    """The next call overwrites what a graph returned, as PyTorch documents: here one does, too."""

    def captured(work, *, mode):
        buffers: dict[tuple[int, torch.Size], torch.Tensor] = {}

        def replay(*given):
            found = work(*given)
            alone = isinstance(found, torch.Tensor)
            outputs = []
            for index, value in enumerate((found,) if alone else found):
                buffer = buffers.setdefault((index, value.shape), torch.empty_like(value))
                outputs.append(buffer.copy_(value))
            return outputs[0] if alone else tuple(outputs)

        return replay

    torch.manual_seed(0)
    system = build(small_config()).eval()
    assert isinstance(system, MDFT)
    rjlu = system.rjlu
    assert rjlu is not None
    batch, other = (ragged_clips.batch(ragged_clips.splits[f"val_{x}"]) for x in ("seen", "unseen"))
    sequences = torch.randn(2, 4, 5, system.config.dim)

    def results() -> list[torch.Tensor]:
        found = [*rjlu(*sequences), system.embed_clips(batch).o_BRE]
        return [*found, system.embed_clips(other).o_BRE]

    with torch.no_grad():
        expected = results()
        monkeypatch.setattr(torch, "compile", captured)
        compile_dense(system, "reduce-overhead")
        for found, plain in zip(results(), expected, strict=True):
            assert torch.equal(found, plain)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_on_a_gpu_a_compiled_model_is_validated_and_tested(clips: ClipSet, tmp_path: Path, mode):
    """Both stages: no gradient is pending in validation, and batches have several sizes."""
    results = trainer(clips, tmp_path, ComputeConfig(compile=mode), device="cuda").run()
    assert 0 <= results.hm <= 1


def test_the_default_changes_nothing():
    plain = dataclasses.asdict(ComputeConfig())
    assert plain == {
        "feed": "auto",
        "autocast": False,
        "compile": "no",
        "reproducible": False,
    }
