"""The cache of a benchmark: one mapped file, and never a stale one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mdft.data import cache
from mdft.data.files import benchmark, layout
from mdft.data.files.layout import find
from mdft.errors import UserError
from tests.mdft.data.layouts import files_config, write_small


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "bench"


def test_a_second_start_reads_the_cache_alone(root: Path, monkeypatch):
    write_small(root)
    first = benchmark.load(files_config(root))
    monkeypatch.setattr(benchmark, "READERS", {})
    second = benchmark.load(files_config(root))
    assert second.names == first.names and np.array_equal(second.audio_MD, first.audio_MD)
    legacy = benchmark.load(files_config(root, text_alignment="legacy"))
    assert not np.array_equal(legacy.words_CW, first.words_CW)
    assert len(list((root.parent / "cache").iterdir())) == 1


def _change_time(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def _change_value(path: Path) -> None:
    content, status = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _spell_in_capitals(path: Path) -> None:
    path.rename(path.with_name(path.name.upper().replace(".PKL", ".pkl")))


@pytest.mark.parametrize("change", [_change_time, _change_value, _spell_in_capitals])
def test_a_stale_cache_is_noticed(root: Path, change, capsys):
    write_small(root)
    benchmark.load(files_config(root))
    change(root / "features" / "own" / "audio" / "stage_1_train" / "b.pkl")
    benchmark.load(files_config(root))
    notice = capsys.readouterr().err
    assert notice.count("\n") == 1 and "have changed since: reading them again" in notice
    benchmark.load(files_config(root))
    assert capsys.readouterr().err == ""
    assert len(list((root.parent / "cache").iterdir())) == 1


@pytest.mark.parametrize("place", [0, -1])
def test_a_changed_end_of_a_large_file_is_noticed(root: Path, monkeypatch, place: int):
    monkeypatch.setattr(layout, "_ENDS", 16)
    write_small(root)
    path = root / "features" / "own" / "audio" / "stage_1_train" / "b.pkl"
    before = find(root, "main_split", None).fingerprint()
    changed, status = bytearray(path.read_bytes()), path.stat()
    changed[place] ^= 1
    path.write_bytes(changed)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert find(root, "main_split", None).fingerprint() != before


def test_a_class_more_or_less_is_noticed(root: Path, capsys):
    write_small(root)
    before = benchmark.load(files_config(root))
    lists = root / "class-split" / "main_split" / "stage_2_test_unseen.txt"
    lists.write_text("a\n")
    after = benchmark.load(files_config(root))
    assert "have changed since" in capsys.readouterr().err
    assert len(after) == len(before) - 2


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_cache_is_noticed(root: Path, damage: str, capsys):
    write_small(root)
    before = benchmark.load(files_config(root))
    (path,) = (root.parent / "cache").iterdir()
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[20000] ^= 1
    path.write_bytes(content[:-100] if damage == "cut" else content)
    after = benchmark.load(files_config(root))
    assert str(path) in capsys.readouterr().err
    assert np.array_equal(before.audio_MD, after.audio_MD)


def test_a_failed_start_leaves_nothing_behind(root: Path):
    write_small(root)
    (root / "features" / "own" / "video" / "stage_2_test_unseen" / "none.pkl").write_bytes(b"x")
    with pytest.raises(UserError, match=r"none\.pkl"):
        benchmark.load(files_config(root))
    assert list((root.parent / "cache").iterdir()) == []


def test_features_and_events_are_maps_of_one_file(root: Path):
    """No second copy: the arrays lie in the mapped file, and only there."""
    write_small(root)
    clips = benchmark.load(files_config(root))
    for array in (clips.audio_MD, clips.visual_MD, clips.events_MKD):
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert isinstance(base, np.memmap) and not array.flags.writeable
        assert Path(str(base.filename)).parent == root.parent / "cache"


def test_the_cache_is_a_safetensors_file_that_others_read(root: Path):
    from safetensors.numpy import load_file

    write_small(root)
    clips = benchmark.load(files_config(root))
    (path,) = (root.parent / "cache").iterdir()
    tensors = load_file(path)
    assert np.array_equal(tensors["features_MD"][:, :6], clips.audio_MD)
    assert np.array_equal(tensors["events_MKD"], clips.events_MKD)
    assert cache.read(path)[0].names == clips.names
