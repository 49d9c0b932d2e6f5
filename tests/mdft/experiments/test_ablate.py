"""The ablations: rows against the paper, the report against numbers by hand, text kept."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mdft import ablate
from mdft.config.recipes import RECIPES, debug, embedded
from mdft.config.train import TrainConfig
from mdft.errors import UserError
from mdft.experiments import sweep
from mdft.experiments.ablations import COMPARISONS, FULL, changed, chosen_rows, distinct_rows
from mdft.experiments.figure import write_figure
from mdft.experiments.report import KEYS, difference, read_texts
from mdft.experiments.sweep import Outcome
from tests.mdft.runs_done import RATES, finish, results_of

ROWS = [row for comparison in COMPARISONS for row in comparison.rows]


def flat(config: object, prefix: str = "") -> dict[str, object]:
    """Dotted field → value."""
    found = {}
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value, name = getattr(config, field.name), prefix + field.name
        found |= flat(value, f"{name}.") if dataclasses.is_dataclass(value) else {name: value}
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_changes_what_it_says_and_nothing_else(row):
    before, after = flat(TrainConfig()), flat(changed(TrainConfig(), row.change))
    assert row.change.keys() <= before.keys()
    assert after == {**before, **row.change}
    changed(debug(), row.change).check()


@pytest.mark.parametrize("row", [row for row in ROWS if row.printed], ids=lambda row: row.name)
def test_printed_numbers_are_copied_right(row):
    """HM is printed too, so a slip of the pen in S, U or HM shows; the paper has three."""
    s, u, hm, _ = row.printed
    printed = {26.34: 26.28, 26.44: 26.49, 29.44: 29.42}.get(hm, hm)
    assert 2 * s * u / (s + u) == pytest.approx(printed, abs=0.01)


def test_the_same_configuration_is_run_once():
    rows = distinct_rows(debug())
    assert len({row.name for row in rows.values()}) == 26
    assert len({row.name for row in distinct_rows(embedded()).values()}) == 30
    assert rows["paper"] is rows[FULL]  # this recipe has the paper's form
    assert rows["dynamic_both"] is rows[FULL]
    assert rows[FULL].config == debug()
    as_printed = distinct_rows(changed(debug(), {"model.motion.threshold": "paper"}))
    assert as_printed["paper_both"] is as_printed[FULL]
    assert as_printed["dynamic_both"] is not as_printed[FULL]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_row_is_a_configuration_of_every_recipe(recipe: str):
    for row in distinct_rows(RECIPES[recipe]()).values():
        row.config.check()


def test_the_joint_space_changes_nothing_else_of_a_recipe_without_a_ridge_regression():
    joint = {"model.space": "joint"}
    for name, change in (
        ("joint", joint),
        ("paper", {**joint, "model.motion.value": "gate", "loss.softmax": 0.0}),
    ):
        assert distinct_rows(embedded())[name].config == changed(embedded(), change)


def test_unknown_rows_are_refused():
    with pytest.raises(UserError, match="--only is 'no_such', expected one of full, mlp"):
        chosen_rows(distinct_rows(debug()), ["mlp", "no_such"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two finished seeds of the full model and of one row, one of another, nothing else."""
    rows, out = distinct_rows(debug()), tmp_path / "runs"
    for name, hms in {FULL: (0.5, 0.7), "no_mim": (0.2, 0.3), "mlp": (0.4,)}.items():
        for seed, hm in enumerate(hms):
            rates = {} if name == "no_mim" else RATES
            finish(
                out / name / f"seed{seed}",
                rows[name].config,
                results_of(seed, hm, seen=0.25, unseen=0.125, zsl=hm, firing_rates=rates),
            )
    return tmp_path


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *, figure: bool = False) -> str:
    """``mdft.ablate`` over what is finished; the report. Drawing takes a second."""
    if not figure:
        monkeypatch.setattr("mdft.experiments.report.write_figure", lambda *_: None)
    table = folder / "docs" / "ablations.md"
    flags = ["--seeds", "0", "1", "--only", FULL, "no_mim", "--table", str(table)]
    monkeypatch.setattr(sys, "argv", ["ablate", "debug", *flags, "--out", str(folder / "runs")])
    assert ablate.main() == 0
    return table.read_text()


def test_only_the_chosen_rows_must_be_possible(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """With L_p alone nothing would be left of the losses; that row was not asked for."""
    flags = ["--loss.no-projection", "--loss.no-reconstruction", "--seeds", "0"]
    table, out = folder / "ablations.md", folder / "none"
    words = ["ablate", "debug", *flags, "--table", str(table), "--out", str(out)]
    monkeypatch.setattr("mdft.experiments.report.write_figure", lambda *_: None)
    monkeypatch.setattr("mdft.experiments.sweep.sweep", lambda *_, **__: Outcome({}, []))
    monkeypatch.setattr(sys, "argv", [*words, "--only", "no_rjlu"])
    assert ablate.main() == 0
    assert cells(table.read_text(), "only L_p (w/o L_n + L_r)")[1:5] == ["–"] * 4
    monkeypatch.setattr(sys, "argv", [*words, "--only", "only_p"])
    with pytest.raises(UserError, match="only_p seed 0: loss is 'all off'"):
        ablate.main()


def test_runs_of_other_settings_are_refused_before_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of a row that was not asked for, too: the report would contain it."""
    flags = ["--epochs", "5", "--seeds", "0", "--only", "no_rjlu", "--table", str(folder / "a.md")]
    monkeypatch.setattr(sys, "argv", ["ablate", "debug", *flags, "--out", str(folder / "runs")])
    monkeypatch.setattr(
        "mdft.experiments.sweep.sweep", lambda *_, **__: pytest.fail("trained first")
    )
    with pytest.raises(UserError, match="made with another epochs"):
        ablate.main()


def cells(report: str, label: str) -> list[str]:
    """The first table line that begins with a label."""
    (line, *_) = [line for line in report.splitlines() if line.startswith(f"| {label} |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_the_report_by_hand(folder: Path, monkeypatch: pytest.MonkeyPatch):
    text = run(folder, monkeypatch)
    scores = ["25.0 ± 0.0", "12.5 ± 0.0"]
    # (0.5 + 0.7) / 2 ± 0.2 / √2; seed by seed −0.3 and −0.4: −0.35 ± 0.1 / √2
    full, paper = "60.0 ± 14.1", ["48.79", "23.11", "31.36"]
    assert cells(text, "MDFT (EGM+SNN)") == ["", *scores, full, full, "", *paper, "31.53"]
    assert text.count("| MDFT |") == 3 and "| 29.34 |" in text
    assert cells(text, "w/o MIM") == [
        *("`model.motion.enabled=False`", *scores, "25.0 ± 7.1", "25.0 ± 7.1", "-35.0 ± 7.1"),
        *("50.64", "17.74", "26.34", "22.78"),
    ]
    mlp = cells(text, "MLP (1 of 2 seeds)")
    assert mlp[1:6] == ["25.0", "12.5", "40.0", "40.0", "-10.0"]
    assert cells(text, "w/o RJLU")[1:6] == ["–"] * 5
    assert cells(text, "dynamic (relative), both")[1:] == [*scores, full, full, ""]
    assert cells(text, f"`{FULL}`") == ["10.0 ± 0.0", "20.0 ± 0.0"]
    assert "| `no_mim` |" not in text and "| `dynamic_both` |" not in text
    assert "`python -m mdft.ablate debug --seeds 0 1 " in text
    assert cells(text, "seconds a run") == ["60 to 60, 0.1 hours in all"]
    assert "](ablations.svg)" in text


def test_written_text_survives_a_rerun(folder: Path, monkeypatch: pytest.MonkeyPatch):
    first = run(folder, monkeypatch)
    table = folder / "docs" / "ablations.md"
    words = "MIM helps: see [the log](x.md).\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    marker = "<!-- text: table-3 -->\n"
    edited = first.replace(marker, marker + words).replace("# Ablations", "# Mine")
    table.write_text(edited)
    second = run(folder, monkeypatch)
    assert second == first.replace(marker, marker + words)
    assert read_texts(table) == {**dict.fromkeys(KEYS, ""), "table-3": words}
    assert read_texts(folder / "none.md") == dict.fromkeys(KEYS, "")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<!-- end of text -->", ""),
        ("<!-- text: table-3 -->", "<!-- text: table-9 -->"),
        ("<!-- text: table-3 -->", "<!-- text: table-2 -->"),
        ("<!-- text: table-3 -->", ""),
    ],
)
def test_damaged_markers_are_refused_before_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
):
    text = run(folder, monkeypatch).replace(old, new, 1)
    table = folder / "docs" / "ablations.md"
    table.write_text(text)
    monkeypatch.setattr(
        "mdft.experiments.sweep.sweep", lambda *_, **__: pytest.fail("trained first")
    )
    with pytest.raises(UserError, match=r"ablations\.md: .*fix them or move the file away"):
        run(folder, monkeypatch)
    assert table.read_text() == text


def test_reported_rows_that_are_not_asked_for_are_compared_with_the_data_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    known, real = [], sweep.sweep

    def spy(*jobs, **how):
        known.extend(how["known"])
        return real(*jobs, **how)

    monkeypatch.setattr(sweep, "sweep", spy)
    run(folder, monkeypatch)
    rows = {row.name for row in distinct_rows(debug()).values()}
    assert {job.row for job in known} == rows - {FULL, "no_mim"}


def test_difference_is_paired_by_seed():
    full = [results_of(0, 0.5), results_of(1, 0.7), results_of(2, 0.1)]
    value = difference([results_of(1, 0.8), results_of(0, 0.5)], full)
    assert (value.mean, value.n) == (pytest.approx(0.05), 2)
    assert value.std == pytest.approx(0.1 / 2**0.5)


def test_the_figure_is_the_same_twice(folder: Path, monkeypatch: pytest.MonkeyPatch):
    run(folder, monkeypatch, figure=True)
    first = (folder / "docs" / "ablations.svg").read_bytes()
    assert first.startswith(b"<?xml")
    run(folder, monkeypatch, figure=True)
    assert (folder / "docs" / "ablations.svg").read_bytes() == first


def test_each_seed_is_a_dot_in_the_middle_of_its_bar(monkeypatch: pytest.MonkeyPatch):
    drawn = Figure()
    monkeypatch.setattr(
        "mdft.experiments.figure.write_drawing", lambda path, size, draw: draw(drawn)
    )
    results = {row.name: [] for row in ROWS} | {
        "no_mim": [results_of(0, 0.2), results_of(1, 0.3)],
        "dynamic_both": [results_of(0, 0.5)],
    }
    write_figure(Path("x.svg"), results)
    axes = {each.get_title(loc="left"): each for each in drawn.axes}
    components = axes["The paper's Table 3: components"]
    (bar,) = (patch for patch in components.patches if isinstance(patch, Rectangle))
    (dots,) = (line for line in components.lines if line.get_marker() == "o")
    middle = bar.get_y() + bar.get_height() / 2
    assert components.get_yticklabels()[round(middle)].get_text() == "w/o MIM"
    assert bar.get_width() == pytest.approx(25)
    np.testing.assert_allclose(np.asarray(dots.get_xydata()), [[20, middle], [30, middle]])
    thresholds = axes["The paper's Figure 5: thresholds and modalities"]
    (bar,) = (x for x in thresholds.patches if isinstance(x, Rectangle) and x.get_height())
    (dots,) = (line for line in thresholds.lines if line.get_marker() == "o")
    middle = bar.get_x() + bar.get_width() / 2
    np.testing.assert_allclose(np.asarray(dots.get_xydata()), [[middle, 50]])
