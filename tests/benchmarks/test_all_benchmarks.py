"""``python -m benchmarks``: targets, the table of hand-made results, and one run of a benchmark."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import plan
from benchmarks.__main__ import Options, main
from benchmarks.figures import read_figures, write_figures
from benchmarks.plan import BENCHMARKS, Benchmark, Ran, left_out, missing, run
from benchmarks.summary import as_json, judged, machine, markdown
from benchmarks.targets import TARGETS, Judged, Target, targets_markdown
from benchmarks.training_table import Row, ratios
from mdft.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
AT_MOST = Target("a", "x / y, .*", "x", "y", 1.25)
AT_LEAST = Target("b", "p / q, .*", "p", "q", 5, least=True)


def test_the_worst_figure_decides():
    figures = {"x / y, 1": 1.25, "x / y, 2": 0.5, "p / q, 1": 5.0, "p / q, 2": 9.0, "z": 100.0}
    assert AT_MOST.judge(figures) == Judged("holds", "x / y, 1", 1.25)
    assert AT_LEAST.judge(figures) == Judged("holds", "p / q, 1", 5.0)
    figures |= {"x / y, 3": 1.2501, "p / q, 3": 4.9999}
    assert AT_MOST.judge(figures) == Judged("missed", "x / y, 3", 1.2501)
    assert AT_LEAST.judge(figures) == Judged("missed", "p / q, 3", 4.9999)
    assert AT_MOST.judge({"an x / y, 1": 9.0}) == Judged("not measured")


def test_the_documentation_lists_these_targets():
    assert targets_markdown() in (ROOT / "docs" / "performance.md").read_text("utf-8")


def test_every_target_belongs_to_a_benchmark_and_every_benchmark_can_be_called():
    names = {benchmark.name for benchmark in BENCHMARKS}
    assert {target.benchmark for target in TARGETS} <= names
    # A command of benchmarks/ with figures that no row runs would be forgotten.
    sources = {f.stem: f.read_text("utf-8") for f in (ROOT / "benchmarks").glob("*.py")}
    writing = {name for name, text in sources.items() if "write_figures(" in text} - {"figures"}
    assert names - {"gpu", "authors"} <= writing <= names


def test_a_table_of_results_by_hand():
    results = [
        Ran("a", "ran", "eventcv is not installed", 12.4, {"x / y, 1": 1.5}, ("benchmarks.a",)),
        Ran("b", "failed", "exit status 1: no | such thing", 3.0),
    ]
    third = replace(AT_MOST, benchmark="c")
    found = judged(results, [AT_MOST, AT_LEAST, third])
    assert [(j.verdict, why) for _, j, why in found] == [
        ("missed", ""),
        ("not measured", "exit status 1: no | such thing"),
        ("not measured", "not chosen by --only"),
    ]
    startup = Ran("startup", "ran", "", 60.0, {"mdft.predict": 2.5, "mdft.doctor": 12.0})
    given = [startup, Ran("gpu", "left out", "torch finds no CUDA device"), *results]
    text = markdown({"cores": 2, "load before": [0.5, 1.0]}, given, quick=True)
    lines = text.splitlines()
    assert "- load before: 0.5, 1.0" in lines and "- cores: 2" in lines
    predict = "| holds | `mdft.predict` on a clip of 1.2 s | 1 s | ≤ 3 | 2.50 | mdft.predict |"
    doctor = "| missed | `mdft.doctor` | 1 s | ≤ 10 | 12.00 | mdft.doctor |"
    assert predict in lines and doctor in lines
    gpu = [line for line in lines if "torch finds no CUDA device" in line]
    assert len(gpu) == 1 + sum(target.benchmark == "gpu" for target in TARGETS)
    assert all(line.startswith("| not measured") for line in gpu[:-1])
    assert "| `b` | failed | 3 | exit status 1: no / such thing |" in lines
    assert "| `a` | x / y, 1 | 1.5 |" in lines
    content = json.loads(json.dumps(as_json({"cores": 2}, given, quick=True)))
    verdicts = {t["what"]: (t["verdict"], t["value"]) for t in content["targets"]}
    assert verdicts["`mdft.doctor`"] == ("missed", 12.0)
    assert content["benchmarks"][2]["figures"] == {"x / y, 1": 1.5}


def test_the_machine_is_described():
    about = machine("a card")
    assert about["GPU"] == "a card" and about["cores"] >= 1 and about["processor"]
    assert re.match(r"\d+\.\d+", about["torch"]) and "eventcv" not in [*about.values()]


def test_figures_are_read_as_written(tmp_path: Path):
    path = tmp_path / "figures.json"
    write_figures(path, {"E_v / ours": 0.5, "n": 2})
    assert read_figures(path) == {"E_v / ours": 0.5, "n": 2.0}
    for text in ("[1]", '{"a": "b"}', '{"a": true}', '{"a": NaN}', "{"):
        path.write_text(text)
        with pytest.raises(UserError, match=r"figures\.json: "):
            read_figures(path)


def test_ratios_of_training_steps():
    rows = [Row("TCaF, authors'", 1, 0.5), Row("MDFT", 1, 2.0, 1.6, 9), Row("SJE", 1, 0.1, 0.05, 9)]
    assert ratios(rows, "B 8") == {
        "TCaF, authors' / MDFT, B 8": 0.25,
        "MDFT / its products, B 8": 1.25,
        "SJE / its products, B 8": 2.0,
        "SJE / MDFT, B 8": 0.05,
    }


def test_what_cannot_run_here_says_why():
    by_name = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    assert "checkout" in (left_out(by_name["authors"], "a card") or "")
    assert left_out(by_name["growth"], None) is None
    absent = Benchmark("no_such_benchmark")
    assert left_out(absent, None) == "benchmarks.no_such_benchmark is not in this checkout"
    assert left_out(by_name["gpu"], None) is not None
    given = {"tcaf": ROOT, "avca": ROOT}
    assert missing(by_name["training"], given) == "no checkout by --avmst"


@pytest.mark.subprocess
def test_a_real_run_of_a_cheap_benchmark(monkeypatch, capsys, tmp_path: Path):
    quick = ("--quick", "--batches", "8", "--rounds", "1", "--systems", "sje")
    rows = (Benchmark("training", quick), Benchmark("authors"))
    monkeypatch.setattr(command, "BENCHMARKS", rows)
    monkeypatch.setattr(command, "cuda_device", lambda: None)
    assert main(Options(quick=True, out=tmp_path / "out")) == 0
    out, err = capsys.readouterr()
    assert (tmp_path / "out" / "table.md").read_text("utf-8") == out
    assert "training …" in err
    found = json.loads((tmp_path / "out" / "table.json").read_text("utf-8"))
    training, authors = found["benchmarks"]
    assert training["status"] == "ran" and authors["status"] == "left out"
    assert training["figures"]["SJE / its products, B 32"] > 0  # B of --quick
    assert "SJE" in (tmp_path / "out" / "training.txt").read_text("utf-8")
    assert {t["verdict"] for t in found["targets"]} == {"not measured"}


@pytest.mark.subprocess
def test_a_benchmark_that_fails_is_the_exit_status(monkeypatch, capsys, tmp_path: Path):
    rows = (Benchmark("training", ("--avca", "no/such")), Benchmark("plan", ()))
    monkeypatch.setattr(command, "BENCHMARKS", rows)
    monkeypatch.setattr(command, "cuda_device", lambda: None)
    assert main(Options(quick=True)) == 1
    out = capsys.readouterr().out
    assert "| `training` | failed |" in out and "exit status 2: no/such: no src/model" in out
    # It ended well but wrote no figures.
    assert "| `plan` | failed |" in out and "figures.json: no figures" in out


@pytest.mark.subprocess
def test_a_benchmark_that_takes_too_long_is_ended(tmp_path: Path):
    found = run(Benchmark("growth", limit_s=0.2), quick=True, log=tmp_path / "log.txt")
    assert (found.status, found.why) == ("failed", "took more than 0.2 s")


def test_wrong_arguments_are_one_line(tmp_path: Path):
    with pytest.raises(UserError, match=r"--only is 'growht', expected one of .* 'growth'"):
        main(Options(only=("growht",)))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--out"):
        main(Options(out=tmp_path / "file"))
    with pytest.raises(UserError, match="expected a checkout of"):
        main(Options(tcaf=tmp_path))


@pytest.mark.subprocess
def test_the_command_answers_a_mistake_in_one_line():
    words = [sys.executable, "-m", "benchmarks", "--only", "nothing"]
    done = subprocess.run(words, cwd=plan.ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1
