"""The training benchmark: rows, floor, and the authors' code from a checkout."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from benchmarks.authors_step import Authors, Settings
from benchmarks.checkouts import checked
from benchmarks.floor import Products, again, multiplications
from benchmarks.processor_time import minima
from benchmarks.stepping import Stepping
from benchmarks.synthetic import Shape, random_clips
from benchmarks.training import Options, main
from benchmarks.training_table import Row, table, whole_run
from mdft.config.baselines import TCaFConfig
from mdft.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
#: The model of a checkout of TCaF: its step checks what it is given.
MODEL = """
import torch
from torch import nn, optim


class Multimodal_Sequence_Transformer(nn.Module):
    def __init__(self, params, audio, video):
        super().__init__()
        print("Initializing", end="")
        assert params["transformer_depth"] == 6 and params["dim_out"] == 64
        self.linear = nn.Linear(audio + video, 64)
        self.optimizer_gen = optim.Adam(self.parameters())
        self.scheduler = optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer_gen, "max", patience=3, verbose=True
        )

    def optimize_params(self, a, v, targets, w, masks, times, embedding_crossentropy, optimize):
        B, T, D = a.shape
        assert optimize and embedding_crossentropy.shape == (42, 300) and w.shape == (B, 300)
        assert masks["audio"].shape == times["video"].shape == (B, T)
        assert targets.max() < 42
        loss = self.linear(torch.cat([a, v], -1)).square().mean()
        self.optimizer_gen.zero_grad()
        loss.backward()
        self.optimizer_gen.step()
        return loss, {}

    def get_embeddings(self, a, v, w, masks, times):
        return self.linear(torch.cat([a, v], -1))
"""
PARAMETERS = """
def get_model_params(**given):
    return {**given, "dim_out": 64}
"""


@pytest.fixture
def tcaf(tmp_path: Path) -> Path:
    folder = tmp_path / "tcaf"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "model_sequence.py").write_text(MODEL)
    (folder / "src" / "utils_improvements.py").write_text(PARAMETERS)
    return folder


def settings(checkout: Path) -> Settings:
    return Settings(
        "tcaf", str(checkout), 4, 3, 16, 300, 42, asdict(TCaFConfig()), threads=1, device="cpu"
    )


@pytest.mark.subprocess
def test_the_quick_table_has_every_system_and_says_who_was_not_given(
    tcaf: Path, capsys: pytest.CaptureFixture[str]
):
    main(Options(quick=True, rounds=1, systems=("mdft", "sje"), tcaf=tcaf))
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if line.startswith("│")]
    cells = {row.split("│")[1].strip(): [c.strip() for c in row.split("│")[2:]] for row in rows}
    assert list(cells) == [
        "TCaF, authors'",
        "TCaF, authors' loop",
        "MDFT",
        "SJE",
        "AVMST, authors'",
        "AVCA, authors'",
    ]
    assert cells["TCaF, authors'"][0] == f"{(32 + 32) * 64 + 64:,}"
    assert "not given: --avmst" in cells["AVMST, authors'"]
    for name in ("MDFT", "SJE"):
        step, floor = float(cells[name][1]), float(cells[name][4])
        assert 0 < floor < step
    assert "13 steps" in out  # 400 clips by 32


@pytest.mark.subprocess
def test_a_wrong_checkout_is_one_line(tmp_path: Path):
    with pytest.raises(UserError, match=r"no src/model_sequence.py there, expected .*TCAF-GZSL"):
        checked("tcaf", tmp_path)
    command = [sys.executable, "-m", "benchmarks.training", "--avca", str(tmp_path / "no")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "ExplainableML/AVCA-GZSL" in done.stderr


@pytest.mark.subprocess
def test_a_checkout_that_does_not_run_says_the_last_line(tcaf: Path):
    (tcaf / "src" / "model_sequence.py").write_text("import no_such_library\n")
    with pytest.raises(UserError, match="No module named 'no_such_library'; give an interpreter"):
        Authors(settings(tcaf))


@pytest.mark.subprocess
def test_the_authors_step_is_within_what_their_loop_takes(tcaf: Path):
    with Authors(settings(tcaf)) as child:
        seconds = [child.step() for _ in range(3)]
        assert child.parameters == 32 * 64 + 64
        assert child.torch == torch.__version__
    assert all(0 < each["step"] < each["loop"] for each in seconds)


def test_products_are_counted_forward_and_backward():
    """Linear of M rows, F to N: M F N forward, as many for weight and for input."""
    x_MF = torch.randn(6, 5, requires_grad=True)
    linear = torch.nn.Linear(5, 7)
    with Products() as products:
        linear(x_MF).sum().backward()
    assert multiplications(products.counts) == 3 * 6 * 5 * 7
    a, b = torch.randn(2, 3, 4), torch.randn(2, 4, 5)
    with Products() as batched:
        torch.bmm(a, b)
        torch.bmm(a, b)
        torch.add(a, 1)
    assert multiplications(batched.counts) == 2 * (2 * 3 * 4 * 5)
    with Products() as repeated:
        again(batched.counts)()
    assert sum(repeated.counts.values()) == 2
    assert multiplications(repeated.counts) == multiplications(batched.counts)


def test_work_takes_turns_and_ends_when_told():
    log = []

    def work(pause):
        for index in range(10):
            log.append(index)
            pause()

    steps = Stepping(work)
    steps.step()
    assert log == [0]
    with Products() as products:
        steps.step(products)  # entered in the other thread, too: nothing is multiplied
    assert log == [0, 1] and not products.counts
    steps.close()
    assert log == [0, 1] and steps.ended


def test_an_error_of_a_step_reaches_the_caller():
    def work(pause):
        pause()
        raise ValueError("of the work")

    steps = Stepping(work)
    steps.step()
    with pytest.raises(ValueError, match="of the work"):
        steps.step()


def test_the_least_seconds_are_taken_without_the_warm_up():
    values = iter([1.0, 5.0, 3.0, 4.0])
    assert minima({"a": lambda: next(values)}, rounds=3) == {"a": 3.0}


def test_random_clips_have_the_counts_of_ucf():
    clips = random_clips(Shape(seconds=1, width=2))
    assert {name: len(split) for name, split in clips.splits.items()} == {
        "stage_1_train": 3174,
        "val_seen": 353,
        "val_unseen": 1467,
        "test_seen": 555,
        "test_unseen": 1267,
        "stage_2_train": 4994,
    }
    counts = {name: len(clips.classes_of(name)) for name in clips.splits}
    assert counts["stage_1_train"] == 30 and counts["stage_2_train"] == 42
    assert counts["val_unseen"] == 12 and counts["test_unseen"] == 9


def test_a_run_is_estimated_from_its_steps():
    """4,994 clips by 256 are 20 steps."""
    text = whole_run(Shape(), 256, 3.0)
    assert "20 steps, 60.0 s an epoch, 50.0 min for 50 epochs" in text


def test_a_ratio_is_of_samples_a_second():
    rows = [Row("TCaF, authors'", 1, 0.8), Row("TCaF", 1, 0.4, 0.1, 10), Row("MDFT", 1, 0.2)]
    cells = [list(column.cells) for column in table("", 8, rows, []).columns]
    by_name = dict(zip(cells[0], zip(*cells[1:], strict=True), strict=True))
    assert by_name["TCaF, authors'"][-2:] == ("2.00", "4.00")
    assert by_name["TCaF"][-2:] == ("", "2.00")
    assert by_name["MDFT"][2] == "40"
