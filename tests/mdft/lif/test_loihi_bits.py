"""Weight bits: what is run, from which float runs, and the report against numbers by hand."""

import dataclasses
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from mdft import bits
from mdft.config.recipes import debug
from mdft.errors import UserError
from mdft.experiments import sweep
from mdft.experiments.ablations import changed
from mdft.experiments.bits_plan import CONTROL, FLOAT, Tuning, float_jobs, row_name, tuned_jobs
from mdft.experiments.bits_report import write_bits_figure
from mdft.runs.folder import read_config, read_results
from tests.mdft.experiments.test_sweep import TINY
from tests.mdft.runs_done import RATES, finish, results_of

TUNING = Tuning(bits=(8, 2), epochs=3, learning_rate=1e-4)
ARITHMETIC, BITS = "model.motion.arithmetic", "model.motion.weight_bits"


def test_every_seed_is_tuned_from_its_own_float_run(tmp_path: Path):
    floats = float_jobs(debug(), (2, 0), tmp_path)
    assert [job.folder for job in floats] == [tmp_path / "float" / f"seed{s}" for s in (2, 0)]
    assert all(job.config.init is None for job in floats)
    jobs = tuned_jobs(floats, Tuning((8, 2), 3, 1e-4), tmp_path)
    assert [str(job) for job in jobs] == [
        f"{row} seed {seed}" for seed in (2, 0) for row in (CONTROL, "loihi_8", "loihi_2")
    ]
    tuned = {"epochs": 3, "learning_rate": 1e-4, "seed": 2}
    tuned["init"] = (tmp_path / "float" / "seed2").resolve()
    assert jobs[0].config == changed(debug(), tuned)
    assert jobs[2].config == changed(debug(), {**tuned, ARITHMETIC: "loihi", BITS: 2})


@pytest.mark.parametrize("wrong", [(), (8, 8), (9,), (1, 2)])
def test_impossible_bits_are_refused(wrong: tuple[int, ...], tmp_path: Path):
    with pytest.raises(UserError, match=r"--bits is .*expected some of 8 to 2, none twice"):
        tuned_jobs(float_jobs(debug(), (0,), tmp_path), Tuning(wrong, 3, 1e-3), tmp_path)


@pytest.mark.parametrize(
    "change", [{ARITHMETIC: "loihi"}, {BITS: 4}, {"model.motion.network": "mlp"}]
)
def test_what_is_tuned_from_is_float(change: dict, tmp_path: Path):
    with pytest.raises(UserError, match="expected mdft with a spiking motion branch, arithmetic"):
        float_jobs(changed(debug(), change), (0,), tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Finished float runs elsewhere, and everything tuned from them but one run of 2 bits."""
    floats = float_jobs(debug(), (0, 1), tmp_path)
    for job, hm in zip(floats, (0.5, 0.7), strict=True):
        job = dataclasses.replace(job, folder=tmp_path / "elsewhere" / job.folder.name)
        finish(job.folder, job.config, scores(job.config.seed, hm))
    floats = float_jobs(debug(), (0, 1), tmp_path / "out", tmp_path / "elsewhere")
    hms = {CONTROL: (0.5, 0.5), "loihi_8": (0.4, 0.7), "loihi_2": (0.1, None)}
    for job in tuned_jobs(floats, TUNING, tmp_path / "out"):
        hm = hms[job.row][job.config.seed]
        if hm is not None:
            finish(job.folder, job.config, scores(job.config.seed, hm))
    return tmp_path


def scores(seed: int, hm: float):
    return results_of(seed, hm, seen=0.25, unseen=0.125, zsl=hm, firing_rates=RATES)


def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """``mdft.bits`` over what is finished; nothing is trained."""
    real = sweep.sweep
    monkeypatch.setattr(sweep, "sweep", lambda jobs, *a, **k: real([], *a, **k))
    flags = ["--seeds", "0", "1", "--bits", "8", "2", "--runs", str(folder / "elsewhere")]
    paths = ["--out", str(folder / "out"), "--table", str(folder / "docs" / "bits.md")]
    monkeypatch.setattr(sys, "argv", ["bits", "debug", *flags, *paths])
    assert bits.main() == 0
    return (folder / "docs" / "bits.md").read_text()


def cells(report: str, *labels: str) -> list[str]:
    (line, *_) = [x for x in report.splitlines() if x.startswith(f"| {' | '.join(labels)} |")]
    return [cell.strip() for cell in line.split("|")[1 + len(labels) : -1]]


def test_the_report_by_hand(folder: Path, monkeypatch: pytest.MonkeyPatch):
    text = run(folder, monkeypatch)
    same = ["25.0 ± 0.0", "12.5 ± 0.0"]
    assert cells(text, "float", "8") == [*same, "60.0 ± 14.1", "60.0 ± 14.1", ""]
    # Seed by seed 0 and −0.2: −0.1 ± 0.2/√2; −0.1 and 0: −0.05 ± 0.1/√2.
    assert cells(text, "float, trained on", "8")[2:] == ["50.0 ± 0.0", "50.0 ± 0.0", "-10.0 ± 14.1"]
    assert cells(text, "loihi", "8")[2:] == ["55.0 ± 21.2", "55.0 ± 21.2", "-5.0 ± 7.1"]
    assert cells(text, "loihi (1 of 2 seeds)", "2") == ["25.0", "12.5", "10.0", "10.0", "-40.0"]
    assert cells(text, "fine-tuning") == ["epochs: 3, learning rate: 0.0001"]
    assert cells(text, "`loihi_8`") == ["10.0 ± 0.0", "20.0 ± 0.0"]
    first = (folder / "docs" / "bits.svg").read_bytes()
    assert first.startswith(b"<?xml") and "](bits.svg)" in text
    marker = "<!-- text: summary -->\n"
    (folder / "docs" / "bits.md").write_text(text.replace(marker, marker + "Two bits do not do.\n"))
    assert "Two bits do not do.\n<!-- end" in run(folder, monkeypatch)
    assert (folder / "docs" / "bits.svg").read_bytes() == first


def test_the_axis_of_the_figure_has_all_of_the_data_and_little_else(
    monkeypatch: pytest.MonkeyPatch,
):
    drawn = Figure()
    monkeypatch.setattr(
        "mdft.experiments.bits_report.write_drawing", lambda path, size, draw: draw(drawn)
    )
    # Loihi: 98 ± 2.8, whose bar ends above 100 per cent; float runs: 95 ± 1.4.
    hms = {FLOAT: (0.94, 0.96), CONTROL: (0.95,), "loihi_8": (0.96, 1.0), "loihi_2": (0.93,)}
    found = {row: [scores(i, hm) for i, hm in enumerate(each)] for row, each in hms.items()}
    write_bits_figure(Path("x.svg"), found, (8, 2))
    low, high = drawn.axes[0].get_ylim()
    assert 92 < low < 93 and 98 + 8**0.5 < high < 102


def test_float_runs_must_be_finished_and_of_this_recipe(folder: Path):
    there = folder / "elsewhere"
    with pytest.raises(UserError, match=r"--runs .*: no finished run in .*seed2"):
        float_jobs(debug(), (0, 2), folder, there)
    with pytest.raises(UserError, match="made with another epochs"):
        float_jobs(changed(debug(), {"epochs": 9}), (0,), folder, there)


@pytest.mark.slow
@pytest.mark.subprocess
def test_from_nothing_to_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Float run, control and 2 bits of one seed, in processes; a second call trains nothing."""
    flags = [f"--data.rendered.{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    flags += ["--model.no-rjlu", "--model.no-crm", "--model.motion.layers", "1"]
    flags += ["--data.rendered.counts.clips-per-class", "4"]
    flags += ["--data.cache", str(tmp_path / "cache"), "--epochs", "1", "--tune-epochs", "2"]
    flags += ["--seeds", "0", "--jobs", "1", "--bits", "2", "--out", str(tmp_path / "out")]
    table = tmp_path / "bits.md"
    monkeypatch.setattr(sys, "argv", ["bits", "debug", *flags, "--table", str(table)])
    assert bits.main() == 0
    run = tmp_path / "out" / row_name(2) / "seed0"
    config, float_run = read_config(run), tmp_path / "out" / FLOAT / "seed0"
    assert config.init == float_run and config.model.motion.arithmetic == "loihi"
    assert read_results(run).beta == read_results(float_run).beta
    assert read_results(run).epoch == 1
    first = table.read_text()
    monkeypatch.setattr("mdft.experiments.sweep.start", lambda *_: pytest.fail("trained again"))
    assert bits.main() == 0
    assert table.read_text() == first
