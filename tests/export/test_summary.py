"""`python -m export.summary`: green only for what was compared, with the files in the folder."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from export import summary, to_nir
from export.agreement import agreements
from hardware.run import main as hardware
from mdft.errors import UserError
from mdft.runs.folder import RECOGNITION, Results, write_results
from tests.export.conftest import make_run
from tests.mdft.small import random_clips
from tests.nir_here import reading_here

FLOAT = "parity_reference_float_{}.json"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with level 0, level 1 in NumPy, and results; not to be changed."""
    clips = random_clips()
    folder = make_run(tmp_path_factory.mktemp("summary") / "run", clips)
    with pytest.MonkeyPatch.context() as patch, reading_here():
        patch.setattr("mdft.runs.load.clips_of", lambda run: clips)
        assert to_nir.main([str(folder), "--samples", "2"]) == 0
        for pathway in ("audio", "visual"):
            graph, probe = folder / f"motion_{pathway}.nir", folder / "probe.npz"
            target = folder / FLOAT.format(pathway)
            backend = ["--backend", "reference_float", "--runtime", "process"]  # as in make demo
            assert hardware([str(graph), str(probe), *backend, "--json", str(target)]) == 0
    write_results(folder, Results(0.5, 0.5, 0.5, 0.5, 0.1, 0, 0, {}, {}, {}, 4, 2, 1.0))
    return folder


@pytest.fixture
def run(exported: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(exported, tmp_path / "run"))


def edit(path: Path, change: Callable[[dict], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def as_lava_fixed(run: Path, pathway: str) -> Path:
    """A lava_fixed result in the shape that hardware.run writes."""

    def change(value: dict) -> None:
        (layers,) = value["must"].values()
        layers = [x | {"membranes_differing": 0} for x in layers]
        value |= {"backend": "lava_fixed", "runtime": "inline"}
        value |= {"must": {"reference_int": layers}, "shown": {"probe": layers}}

    target = run / f"parity_lava_fixed_{pathway}.json"
    target.write_text((run / FLOAT.format(pathway)).read_text())
    edit(target, change)
    return target


def test_levels_pathways_and_runtimes(run: Path, capsys: pytest.CaptureFixture):
    edit(as_lava_fixed(run, "visual"), lambda value: value.update(runtime="process"))
    rows = agreements(run)
    both, one = ("audio", "visual"), ("visual",)
    assert [(r.level, r.pathways, r.runtime, r.failed) for r in rows] == [
        ("0", both, "", False),
        ("1", both, "", False),
        ("2", one, "Lava's own", False),
        ("–", one, "Lava's own", False),
    ]
    assert rows[0].compared == rows[1].compared == 2 * rows[2].compared > 0
    capsys.readouterr()
    assert summary.main([str(run)]) == 0
    text = capsys.readouterr().out
    assert "visual only" in text and "audio only" not in text and "nirtorch" in text


def first(value: dict, group: str = "must") -> dict:
    return next(iter(value[group].values()))[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(failed=True),
        lambda value: first(value).update(differing=3),
        lambda value: first(value).update(membranes_differing=3),
    ],
)
def test_whatever_failed_is_red_and_exit_1(run: Path, capsys: pytest.CaptureFixture, change):
    edit(as_lava_fixed(run, "audio"), change)
    assert [r.failed for r in agreements(run)] == [False, False, True, False]
    assert summary.main([str(run)]) == 1
    assert "failed" in capsys.readouterr().out


def test_a_reported_difference_is_no_failure(run: Path):
    edit(as_lava_fixed(run, "audio"), lambda value: first(value, "shown").update(differing=3))
    row = agreements(run)[-1]
    assert (row.level, row.differing, row.failed) == ("–", 3, False)
    assert summary.main([str(run)]) == 0


def test_level_0_counts_too(run: Path):
    edit(run / "parity_level_0.json", lambda x: x["pathways"]["audio"][0].update(differing=1))
    assert agreements(run)[0].failed


@pytest.mark.parametrize("name", ["parity_level_0.json", FLOAT.format("audio")])
@pytest.mark.parametrize("file", ["motion_audio.nir", "probe.npz"])
def test_another_graph_or_probe_is_no_agreement(run: Path, name: str, file: str):
    for other in {"parity_level_0.json", FLOAT.format("audio"), FLOAT.format("visual")} - {name}:
        (run / other).unlink()
    agreements(run)
    (run / file).write_bytes((run / file).read_bytes() + b"!")
    with pytest.raises(UserError, match=f"{name}.*another {file}.*run it again"):
        agreements(run)
    (run / file).unlink()
    with pytest.raises(UserError, match=f"{name}.*another {file}.*run it again"):
        agreements(run)


@pytest.mark.parametrize("name", ["parity_level_0.json", FLOAT.format("visual")])
@pytest.mark.parametrize("content", ["", "{}", "[]", "{", '{"sha256": 1}', "\x00"])
def test_malformed_files_are_one_line(run: Path, name: str, content: str):
    (run / name).write_text(content)
    with pytest.raises(UserError, match=f"{name}.*run it again") as caught:
        agreements(run)
    assert "\n" not in str(caught.value)


def test_a_network_for_recordings_is_refused_by_name(run: Path):
    (run / "config.json").write_text(json.dumps({"kind": RECOGNITION}))
    with pytest.raises(UserError, match=r"config\.json: a network for recordings \(mdft\.motion\)"):
        summary.main([str(run)])


def test_nothing_compared_is_no_agreement(run: Path):
    for name, change in (
        (FLOAT.format("audio"), lambda value: value["must"].clear()),
        ("parity_level_0.json", lambda value: value["pathways"].clear()),
    ):
        edit(run / name, change)
        with pytest.raises(UserError, match=f"{name}: compares no spikes"):
            agreements(run)


def test_a_file_of_another_backend_is_refused(run: Path):
    edit(run / FLOAT.format("audio"), lambda value: value.update(backend="reference_int"))
    with pytest.raises(UserError, match="is of reference_int, expected reference_float"):
        agreements(run)


def test_a_folder_with_brackets_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "run [a]"
    folder.mkdir()
    for table in (summary.files_table(folder), to_nir.files_table(folder)):
        screen = io.StringIO()
        Console(file=screen, width=300).print(table, table.title)
        assert "run [a]" in screen.getvalue()
