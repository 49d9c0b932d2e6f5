"""The file of finished runs: what is read is what was written; damage is named."""

import json
import re
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdft.compare import Command
from mdft.config.recipes import debug
from mdft.config.train import TrainConfig
from mdft.errors import UserError
from mdft.experiments.compare_rows import ROWS, rows_with
from mdft.experiments.comparison import Comparison
from mdft.experiments.record import COLUMNS, Record
from mdft.experiments.report import machine
from mdft.experiments.worker import Job
from mdft.runs.settings import fingerprint
from mdft.training.command_line import config_of, parse
from tests.mdft.runs_done import finish, results_of

MAKEFILE = Path(__file__).parents[3] / "Makefile"
COMMANDS = re.findall(r"-m mdft\.compare ((?:.|\\\n)*?--table \S+\.md)", MAKEFILE.read_text())


def job_of(out: Path, row: str, seed: int, config: TrainConfig | None = None) -> Job:
    return Job(row, replace(config or debug(), seed=seed), out / row / f"seed{seed}")


def done(job: Job, hm: float, validation_hms: tuple[float, ...] = (0.25,), **others) -> Job:
    """The job, whose folder has a finished run of these validation HMs."""
    finish(job.folder, job.config, results_of(job.config.seed, hm, **others))
    lines = [json.dumps({"stage": "stage_1", "val": {"hm": x}}) for x in validation_hms]
    (job.folder / "metrics.jsonl").write_text("\n".join([*lines, '{"stage": "stage_2"}', ""]))
    return job


def test_a_line_by_hand(tmp_path: Path):
    one = done(
        job_of(tmp_path, "b", 1), 0.5, (0.1, 0.75, 0.2), seen=0.6, beta=1.5, epoch=1, seconds=8.5
    )
    other = job_of(tmp_path, "a", 0)
    path = tmp_path / "docs" / "results.csv"
    record = Record(path)
    assert record.find(other) is None
    record.keep([one, other])
    begin = "b,1,0.6,0.0,0.5,0.0,0.75,1.5,1,8.5,"
    line = f'{begin}"{machine()}",{fingerprint(one.config)}'
    assert path.read_text().splitlines() == [",".join(COLUMNS), line]
    # A file that has lines keeps them, in the order of rows and seeds.
    Record(path).keep([done(other, 0.1)])
    assert [text[:3] for text in path.read_text().splitlines()[1:]] == ["a,0", "b,1"]


def test_two_comparisons_write_one_file(tmp_path: Path):
    """Each began before the other wrote."""
    path = tmp_path / "results.csv"
    records = Record(path), Record(path)
    for record, row in zip(records, "ab", strict=True):
        record.keep([done(job_of(tmp_path, row, 0), 0.5)])
    assert [text[:3] for text in path.read_text().splitlines()[1:]] == ["a,0", "b,0"]


@given(
    scores=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    seconds=st.floats(0, 1e6),
    seed=st.integers(0, 2**31),
)
def test_what_is_read_is_what_was_written(
    scores: list[float], seconds: float, seed: int, tmp_path_factory: pytest.TempPathFactory
):
    folder = tmp_path_factory.mktemp("record")
    names = dict(zip(("seen", "unseen", "zsl"), scores, strict=False))
    job = done(job_of(folder, "row", seed), scores[3], seconds=seconds, **names)
    found = Record(folder / "r.csv").find(job)
    assert found is not None
    Record(folder / "r.csv").keep([job])
    # Its folder is elsewhere now.
    assert Record(folder / "r.csv").find(replace(job, folder=folder / "none")) == found
    assert asdict(found) == {
        **{"row": "row", "seed": seed, "hm": scores[3], "validation_hm": 0.25, "beta": 0},
        **{**names, "epoch": 0, "seconds": seconds, "machine": machine()},
        "settings": fingerprint(job.config),
    }


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text.replace("row,", "name,", 1), "its columns are name, seed.*expected row"),
        (lambda text: "", "its columns are none, expected row"),
        (lambda text: "\0\1", "(not CSV|its columns are) .*--table"),
        (lambda text: text.replace("row,0", "row,0,0,0,0,0"), "line 2, .*remove the line"),
        (lambda text: text.replace("0.5", "much"), "line 2, hm: .*number.*remove the line"),
        (lambda text: text[: text.index("0.5")], "line 2, .*remove the line"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, damage, said: str):
    path = tmp_path / "results.csv"
    Record(path).keep([done(job_of(tmp_path, "row", 0), 0.5)])
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match=rf"results\.csv: {said}"):
        Record(path)


def test_a_run_of_other_settings_is_not_taken_for_this_one(tmp_path: Path):
    path = tmp_path / "results.csv"
    Record(path).keep([done(job_of(tmp_path, "row", 0), 0.5)])
    elsewhere = tmp_path / "elsewhere"
    assert Record(path).find(job_of(elsewhere, "row", 0)) is not None
    other = job_of(elsewhere, "row", 0, replace(debug(), epochs=77))
    with pytest.raises(UserError, match=r"row seed 0 is there with the settings .* --table"):
        Record(path).find(other)


@pytest.mark.parametrize("typed", COMMANDS)
def test_make_results_goes_on_from_the_published_runs(typed: str):
    """Each line is a run of the command, with today's settings of the recipe."""
    flags = shlex.split(typed.replace("\\\n", " ").replace("$(SEEDS)", "5"))
    _, command = parse(flags, Command, "mdft.compare")
    assert command.table is not None
    path = MAKEFILE.parent / command.table.with_suffix(".csv")
    inputs, systems, none = command.compare_inputs, tuple(ROWS), Path("none")
    record = Record(path)
    found = Comparison(
        config_of(command), inputs, systems, 1, command.data_seeds, command.seeds, none, record
    )
    runs = [
        record.find(job) for i in inputs for name in rows_with(i) for job in found.jobs(i, name)
    ]
    assert sum(run is not None for run in runs) == len(path.read_text().splitlines()) - 1 >= 15


def test_every_report_has_a_command():
    assert len(COMMANDS) == 6
