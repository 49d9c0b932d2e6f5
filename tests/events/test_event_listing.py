"""Which files of a folder are clips, and the count of all others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from events.convert import main
from events.listing import CLIPS, list_files
from mdft.errors import UserError
from tests.events.films import write_film


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_every_file_is_found_or_passed_over(tmp_path: Path):
    clips = [f"{i}{ending}" for i, ending in enumerate(sorted(CLIPS))]
    clips += ["deep/er/A.MTS", "b.M2ts", "c.3GP"]
    others = ["readme.txt", "list.TXT", "LICENSE", "deep/._A.MTS", ".trash/a.mp4", "song.mp3"]
    touch(tmp_path, *clips, *others)
    listing = list_files(tmp_path)
    assert listing.found == sorted(tmp_path / name for name in clips)
    assert listing.passed_over == sorted(tmp_path / name for name in others)
    note = "note: 6 files passed over: 2 .txt, 2 hidden, 1 .mp3, 1 without an ending"
    assert listing.note() == note


def test_many_kinds_are_summed_up_and_none_is_an_empty_note(tmp_path: Path):
    touch(tmp_path, *(f"{i}.e{i}" for i in range(9)))
    assert list_files(tmp_path).note().endswith(", 3 others")
    assert list_files(tmp_path, lambda path: path.suffix[:2] == ".e").note() == ""
    touch(tmp_path, "odd.\x1b[31m")
    assert "\x1b" not in list_files(tmp_path).note()


def test_links_are_followed_and_a_circle_is_refused(tmp_path: Path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    touch(root, "a/1.mp4")
    touch(elsewhere, "2.mp4")
    (root / "b").symlink_to(elsewhere, target_is_directory=True)
    (root / "a" / "broken.mp4").symlink_to(tmp_path / "gone")
    names = [p.relative_to(root).as_posix() for p in list_files(root).found]
    assert names == ["a/1.mp4", "a/broken.mp4", "b/2.mp4"]
    (elsewhere / "back").symlink_to(root, target_is_directory=True)
    with pytest.raises(UserError, match=r"back: is a link to .*root, a folder above it"):
        list_files(root)


def test_a_command_counts_what_it_passes_over_and_refuses_by_name(tmp_path: Path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    write_film(folder / "a.mkv", 4, 10, None, 8000)
    touch(folder, "notes.txt", ".DS_Store")
    assert main([str(folder), str(tmp_path / "out"), "--engine", "sequential"]) == 0
    assert "note: 2 files passed over: 1 .txt, 1 hidden" in capsys.readouterr().out
    (folder / "gone.MTS").symlink_to(tmp_path / "nothing")
    os.mkfifo(folder / "pipe.3gp")
    assert main([str(folder), str(tmp_path / "out"), "--engine", "sequential"]) == 1
    written = capsys.readouterr()
    assert "0 clips converted" in written.out and "1 done before; 2 failed" in written.out
    assert "gone.MTS: cannot be opened" in written.err and "pipe.3gp: a folder, pipe" in written.err


def test_a_folder_of_other_files_says_what_they_are(tmp_path: Path, capsys):
    touch(tmp_path, "in/a.aedat4", "in/b.txt")
    assert main([str(tmp_path / "in"), str(tmp_path / "out")]) == 2
    assert "note: 2 files passed over: 1 .aedat4, 1 .txt" in capsys.readouterr().err
