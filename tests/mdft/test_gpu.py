"""The model on a CUDA device: the same spikes as on the CPU, and a step of training."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from mdft.config.model import MotionConfig
from mdft.data.dataset import ClipSet
from mdft.data.stages import STAGES
from mdft.distributed.world import lengths
from mdft.model.mdft import MDFT
from mdft.systems.build import build
from mdft.training.batches import TrainingBatches
from mdft.training.feed import feed_of
from mdft.training.step import _Loss
from mdft.training.trainer import Trainer
from tests.mdft.small import small_config, small_model

ON_A_GPU = pytest.param("cuda", marks=pytest.mark.gpu)


@pytest.fixture(params=["highest", "high"])
def matmul_precision(request: pytest.FixtureRequest) -> Iterator[str]:
    """``high`` is TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(request.param)
    yield request.param
    torch.set_float32_matmul_precision(before)


@pytest.mark.gpu
def test_the_motion_branch_gives_the_same_spikes(clips: ClipSet, matmul_precision: str):
    """Products of 8 bits and sums on the grid are exact, in TF32 too: not one spike may differ."""
    model = MDFT(small_model())
    batch = clips.batch(np.arange(0, len(clips), 2))
    model.calibrate(batch)
    for pathway, given in model.motion_inputs(batch).items():
        branch = model.branch(pathway)
        expected = branch.spikes(given.x_BSD, threshold_current=given.current_BS1)
        branch.cuda()
        found = branch.spikes(given.x_BSD.cuda(), threshold_current=given.current_BS1.cuda())
        branch.cpu()
        for one, other in zip(expected, found, strict=True):
            assert torch.equal(one, other.cpu())


@pytest.mark.gpu
@pytest.mark.parametrize("motion", [True, False])
def test_training_runs_on_the_device(clips: ClipSet, tmp_path: Path, motion: bool):
    model = small_model(motion=MotionConfig(enabled=motion))
    config = small_config(device="cuda", epochs=1, model=model)
    results = Trainer(config, clips, tmp_path, lambda record: None).run()
    assert 0 <= results.hm <= 1


@pytest.mark.filterwarnings("ignore:`broadcast_buffers` is deprecated:FutureWarning")
@pytest.mark.parametrize("device", ["cpu", ON_A_GPU])
def test_a_group_of_one_process_changes_no_gradient(clips: ClipSet, tmp_path: Path, device: str):
    """The collectives of a training over several processes, through gloo or NCCL."""
    torch.manual_seed(0)
    none = {f"dropout_{name}": 0.0 for name in ("encoder", "projection", "words")}
    system = build(small_config(model=small_model(**none))).to(device)
    generator = torch.Generator(device).manual_seed(0)
    feed = feed_of(clips, torch.device(device))
    batches = TrainingBatches(clips, feed, STAGES[0], 24, generator)
    system.calibrate(batches.whole())
    _, batch = next(batches.epoch(negatives=True))
    system.loss(batch).terms["total"].backward()
    expected = [p.grad.clone() for p in system.parameters() if p.grad is not None]
    system.zero_grad()
    store = dist.FileStore(str(tmp_path / "store"), 1)  # pyright: ignore[reportPrivateImportUsage]
    dist.init_process_group(store=store, rank=0, world_size=1)
    try:
        x = torch.arange(3.0, device=device)
        dist.all_reduce(x)
        assert x.tolist() == [0, 1, 2]
        assert lengths(7) == [7]  # a tensor of the CPU
        parallel = DistributedDataParallel(
            _Loss(system), broadcast_buffers=False, static_graph=True
        )
        terms, _ = parallel(batch)
        terms["total"].backward()
    finally:
        dist.destroy_process_group()
    found = [p.grad for p in system.parameters() if p.grad is not None]
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
