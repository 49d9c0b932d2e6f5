"""The commands in README.txt of exported files train as the same benchmark in memory does."""

from __future__ import annotations

import io
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mdft.config.baselines import SystemName
from mdft.config.train import TrainConfig
from mdft.data.export import WITH_EVENTS, Command, Format, main
from mdft.data.sources import load_clips
from mdft.errors import UserError
from mdft.training.command_line import config_of, parse
from mdft.training.run import train


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MDFT_CACHE", str(folder / "cache"))
        for layout in ("avca", "tcaf"):
            main(Command(folder / layout, layout, recipe="debug"))
    return folder


@pytest.fixture(autouse=True)
def cached(exported: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MDFT_CACHE", str(exported / "cache"))


def commands(folder: Path) -> list[list[str]]:
    """The arguments of each command of ours in README.txt, with the folder as OUT."""
    text = (folder / "README.txt").read_text().replace("\\\n", " ")
    lines = re.findall(r"^  python -m mdft\.train (.+)$", text, re.M)
    return [shlex.split(line.replace(" OUT ", f" {folder} ")) for line in lines]


def results(config: TrainConfig, out: Path) -> dict[str, object]:
    train(replace(config, device="cpu"), out, console=Console(file=io.StringIO()))
    found = json.loads((out / "results.json").read_text())
    return {name: value for name, value in found.items() if name != "seconds"}


def of_command(arguments: list[str]) -> TrainConfig:
    return config_of(parse(arguments, TrainConfig, "mdft.train")[1])


#: Commands of README.txt: MDFT, MDFT on features alone, a baseline on them, one with the events.
MDFT, ALONE, NARROW, WIDE = range(4)


@pytest.mark.parametrize(
    ("command", "system", "inputs"),
    [
        (MDFT, "mdft", "features"),
        (NARROW, "avca", "features"),
        (NARROW, "tcaf", "features+events"),
        *((WIDE, system, "features+events") for system in ("avca", "tcaf", "devise")),
    ],
)
def test_each_command_has_the_scores_in_memory(
    exported: Path, tmp_path: Path, command: int, system: SystemName, inputs: str
):
    arguments = commands(exported / "tcaf")[command]
    if command != MDFT:
        arguments[arguments.index("--model") + 1] = system
    if command == NARROW:
        arguments[arguments.index("--inputs") + 1] = inputs
    on_disk = of_command(arguments)
    assert on_disk.system == system and on_disk.data.source == "files"
    flags = ["debug", "--model", system, *(["--inputs", inputs] if system != "mdft" else [])]
    if (command, system) == (WIDE, "tcaf"):  # a token for each second; NARROW has one for each bin
        seconds = ["--baseline.tcaf.bins", "8"]
        assert " ".join(seconds) in (exported / "tcaf" / "README.txt").read_text()
        on_disk, flags = of_command([*arguments, *seconds]), [*flags, *seconds]
    in_memory = of_command(flags)
    assert in_memory.data.source == "rendered"
    assert results(on_disk, tmp_path / "disk") == results(in_memory, tmp_path / "memory")
    weights = [tmp_path / run / "model.safetensors" for run in ("disk", "memory")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_the_recipe_features_has_the_scores_in_memory(exported: Path, tmp_path: Path):
    on_disk = replace(of_command(commands(exported / "tcaf")[ALONE]), epochs=2)
    assert on_disk.model.ridge and on_disk.data.whiten
    data = replace(of_command(["debug"]).data, events="feature", whiten=True)
    in_memory = replace(on_disk, data=data)
    assert results(on_disk, tmp_path / "disk") == results(in_memory, tmp_path / "memory")
    weights = [tmp_path / run / "model.safetensors" for run in ("disk", "memory")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_means_differ_from_memory_in_their_standardisation_only(exported: Path):
    """A system of averaged features standardises seconds in memory, and means on disk."""
    _, narrow, wide = (of_command(arguments) for arguments in commands(exported / "avca"))
    for config, inputs in ((narrow, "features"), (wide, "features+events")):
        disk = load_clips(config.data)
        memory = load_clips(of_command(["debug", "--inputs", inputs]).data)
        where = {name: i for i, name in enumerate(memory.names)}
        for i, name in enumerate(disk.names):
            rows, _ = memory.rows(np.array([where[name]]))
            for kind in ("audio_MD", "visual_MD"):
                mean_D = getattr(memory, kind)[rows].mean(axis=0, dtype=np.float64)
                np.testing.assert_allclose(getattr(disk, kind)[i], mean_D, rtol=1e-5, atol=1e-6)
        for kind in ("audio", "visual"):
            between, within = disk.scales[kind], memory.scales[kind]
            np.testing.assert_allclose(between.mean_D, within.mean_D, rtol=1e-5, atol=1e-6)
            assert (between.deviation_D <= within.deviation_D * (1 + 1e-6)).all()
            assert (between.deviation_D < 0.99 * within.deviation_D).any()


@pytest.mark.parametrize("layout", ["avca", "tcaf"])
def test_a_set_must_be_named(exported: Path, layout: Format):
    config = of_command(["ucf", "--data.root", str(exported / layout)])
    with pytest.raises(UserError, match=rf"--data.features is not given.*{WITH_EVENTS[layout]}"):
        load_clips(config.data)
