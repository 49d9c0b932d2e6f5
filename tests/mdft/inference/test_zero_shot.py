"""Labels without training, and the gallery: what is shown, and mistakes in one line."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from mdft.config.features import FeatureConfig
from mdft.data.rendered.mp4 import write_clip
from mdft.data.video import clip as clip_module
from mdft.data.video.clip import ClipFeatures
from mdft.errors import UserError
from mdft.inference import reading
from mdft.inference import zero_shot as module
from mdft.inference.gallery_page import confusion
from mdft.inference.zero_shot import check_names, zero_shot
from tests.commands import run
from tests.mdft.inference.toy_words import TABLE, TOY

pytestmark = pytest.mark.rounding
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    for user in (module, clip_module):
        monkeypatch.setattr(user, "make_backbone", lambda config: TOY)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two clips in folders of their class, one that is no video, and the class names."""
    for name, bright, loud in (("bright loud", 230, 0.9), ("dark silent", 20, 0.0)):
        folder = tmp_path / "CLIPS" / name
        folder.mkdir(parents=True)
        frames = np.full((8, 16, 24, 3), bright, dtype=np.uint8)
        frames[::2, :4, :4] = 255 - bright  # something moves
        sound = (loud * np.sin(np.arange(8000) * 0.3)).astype(np.float32)
        write_clip(folder / "1.mp4", frames, sound, 8, 8000, zoom=2)
    (tmp_path / "names.txt").write_text("\n".join(TABLE) + "\n")
    return tmp_path


def predict(folder: Path, *words: object) -> tuple[int, str, str]:
    return run("mdft.predict", "light", *words, folder=folder)


def test_the_table_shows_every_modality(clips: Path):
    loud = clips / "CLIPS/bright loud/1.mp4"
    status, out, _ = predict(clips, loud, "--classes", "names.txt", "--top", 2)
    assert status == 0
    assert "1.mp4, 3 classes to choose from" in out
    assert re.search(r"1 │ bright loud .*2 │ dark loud", out, re.S) and "audio: loud" in out
    assert "dark silent" not in out  # third


def test_json_has_scores_that_sum_to_one_and_the_concepts(clips: Path):
    loud = clips / "CLIPS/bright loud/1.mp4"
    status, out, _ = predict(clips, loud, "--classes", "names.txt", "--json")
    found = json.loads(out)
    assert status == 0 and found["labels"][0]["name"] == "bright loud"
    assert sum(label["score"] for label in found["labels"]) == pytest.approx(1)
    product = [label["audio"] * label["visual"] for label in found["labels"]]
    scores = [label["score"] for label in found["labels"]]
    np.testing.assert_allclose(scores, np.array(product) / sum(product), rtol=1e-6)
    assert found["concepts"]["visual"][0][0] == "bright"


def test_a_silent_clip_is_labelled_by_its_frames_alone(clips: Path):
    silent = clips / "CLIPS/dark silent/1.mp4"
    status, out, _ = predict(clips, silent, "--classes", "names.txt", "--json")
    found = json.loads(out)
    assert status == 0 and list(found["concepts"]) == ["visual"]
    # By its frames the two dark classes are the same, and keep their order.
    assert [label["name"] for label in found["labels"]][:2] == ["dark loud", "dark silent"]


def test_a_clip_that_cannot_be_read_does_not_stop_the_others(clips: Path):
    (clips / "bad.mp4").write_bytes(b"no video")
    loud = clips / "CLIPS/bright loud/1.mp4"
    status, out, err = predict(clips, "bad.mp4", loud, "--classes", "names.txt")
    assert status == 1 and "bright loud" in out
    assert err.startswith("error: bad.mp4") and err.count("\n") == 1


def sound_alone(path: Path) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def test_a_clip_without_frames_is_one_line_and_nothing_is_written(clips: Path):
    sound_alone(clips / "sound.mp4")
    words = ("sound.mp4", "--classes", "names.txt", "--explain", "page.html")
    status, out, err = predict(clips, *words)
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert err == "error: sound.mp4: no video stream in it, expected at least one\n"
    assert not (clips / "page.html").exists()


def test_a_single_frame_is_labelled(clips: Path):
    write_clip(clips / "one.mp4", np.full((1, 16, 24, 3), 230, np.uint8), np.zeros(8), 8, 8000, 2)
    status, out, _ = predict(clips, "one.mp4", "--classes", "names.txt", "--json")
    assert status == 0 and json.loads(out)["labels"][0]["name"] == "bright loud"


def test_a_clip_of_half_an_hour_is_cut_with_a_note(clips: Path):
    """One frame a second for 1800 s; a minute of it is used."""
    frames = np.full((1800, 16, 24, 3), 230, dtype=np.uint8)
    write_clip(clips / "long.mp4", frames, np.zeros(8, np.float32), 1, 8000, zoom=1)
    status, out, _ = predict(clips, "long.mp4", "--classes", "names.txt", "--json")
    assert status == 0 and "cut after 60 s" in json.loads(out)["remarks"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--classes is missing: light labels clips among the names that it is given"),
        (("--classes", "none.txt"), "no such list of classes"),
        (("--classes", "names.txt", "--backbone", "light"), "--backbone light: not used by light"),
        (("--classes", "names.txt", "--vectors", "w.vec"), "w.vec: cannot be opened (No such file"),
        (
            ("--classes", "names.txt", "--vectors", "w.vec", "--prompt", "a {}"),
            "--prompt: not used with --vectors w.vec",
        ),
        (("--classes", "names.txt", "--work", "w"), "--work w: 0 folders of clips, expected one"),
        (("--classes", "names.txt", "--prompt", "a video"), r"--prompt is 'a video', expected"),
        (("--classes", "names.txt", "--prompt", ""), r"--prompt is '', expected"),
        (("--classes", "twice.txt"), "listed twice"),
        (("--classes", "alike.txt"), "'Dark_loud' is the same class as 'dark loud'"),
        (("--classes", "signs.txt"), "'!!' has no letter or digit"),
        (("--classes", "names.txt", "--explain", "page.txt"), "expected a name in .html"),
    ],
)
def test_mistakes_are_one_line(clips: Path, words: tuple[str, ...], message: str):
    for name, lines in (("twice", "a\na"), ("alike", "dark loud\nDark_loud"), ("signs", "!!")):
        (clips / f"{name}.txt").write_text(lines)
    before = sorted(clips.iterdir())
    status, out, err = predict(clips, clips / "CLIPS/bright loud/1.mp4", *words)
    assert (status, out) == (2, "") and message in err and err.count("\n") == 1
    assert sorted(clips.iterdir()) == before


def folder(clips: Path, *words: object) -> tuple[int, list[dict], str]:
    """Label CLIPS, with JSON."""
    status, out, err = predict(
        clips, "CLIPS", "--classes", "names.txt", "--work", "work", "--engine", "sequential",
        "--checkpoint", "names.txt", "--json", *words,
    )  # fmt: skip
    return status, [json.loads(line) for line in out.splitlines()], err


def test_a_folder_is_labelled_as_each_of_its_clips(clips: Path):
    status, found, _ = folder(clips)
    assert status == 0
    for line in found:
        path = clips / line["clip"]
        alone = json.loads(predict(clips, path, "--classes", "names.txt", "--json")[1])
        assert line["labels"] == alone["labels"] and line["remarks"] == alone["remarks"]
    assert [line["clip"] for line in found] == [
        "CLIPS/bright loud/1.mp4",
        "CLIPS/dark silent/1.mp4",
    ]
    assert "silent: labelled by its frames alone" in found[1]["remarks"]


def test_a_folder_is_resumed(clips: Path, monkeypatch):
    """A second call reads new clips only; one that is damaged does not stop the rest."""
    assert folder(clips)[0] == 0
    shutil.copy(clips / "CLIPS/bright loud/1.mp4", clips / "CLIPS/bright loud/2.mp4")
    (clips / "CLIPS/bad.mp4").write_bytes(b"no video")
    read: list[str] = []
    extract = reading.extract_clip

    def counted(path: Path, *args: object, **more: object) -> ClipFeatures:
        read.append(path.name)
        return extract(path, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "extract_clip", counted)
    status, found, err = folder(clips)
    assert sorted(read) == ["2.mp4", "bad.mp4"] and len(found) == 3
    assert status == 1 and err.startswith("error: CLIPS/bad.mp4") and err.count("\n") == 1
    assert found[0]["labels"] == found[1]["labels"]


def test_a_kept_file_that_is_damaged_is_named(clips: Path):
    assert folder(clips)[0] == 0
    kept = clips / "work/bright loud/1.mp4.npz"
    kept.write_bytes(bytes(kept.stat().st_size))  # its size stays
    status, found, err = folder(clips)
    assert status == 1 and [line["clip"] for line in found] == ["CLIPS/dark silent/1.mp4"]
    assert f"{kept.relative_to(clips)}: damaged" in err and err.count("\n") == 1
    kept.write_bytes(b"short")  # another size: it is read again
    assert folder(clips)[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--jobs", 0), "--jobs: found 0"),
        (("--engine", "spark"), "spark"),
        (("--work", "CLIPS/work"), "inside CLIPS"),
        (("--explain", "page.html"), "CLIPS is a folder; name one clip, or make a page"),
    ],
)
def test_a_folders_mistakes_are_one_line(clips: Path, words: tuple[str, ...], message: str):
    status, found, err = folder(clips, *words)
    assert (status, found) == (2, []) and message in err and err.count("\n") == 1
    assert not (clips / "page.html").exists()


def test_an_empty_folder_is_one_line(clips: Path):
    (clips / "EMPTY").mkdir()
    status, out, err = predict(clips, "EMPTY", "--classes", "names.txt")
    assert (status, out) == (2, "") and "EMPTY: contains no clips" in err


def test_flags_of_light_are_refused_for_a_run(clips: Path):
    status, _, err = run("mdft.predict", "runs/x", "a.mp4", "--prompt", "a {}", folder=clips)
    assert status == 2 and "--prompt: only light and clip-clap use it" in err


def test_ten_thousand_names_are_taken_and_too_many_refused():
    check_names([f"class {i}" for i in range(10_000)])
    with pytest.raises(UserError, match="100001 names, expected at most 100000"):
        check_names([f"class {i}" for i in range(100_001)])


def test_a_backbone_without_words_says_so(monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr(module, "make_backbone", lambda config: replace(TOY, language=None))
    with pytest.raises(UserError, match=r"knows no words.*expected light or clip-clap"):
        zero_shot(FeatureConfig(), ["a"])


def gallery(folder: Path, *words: object) -> tuple[int, str, str]:
    return run(
        "mdft.gallery", "CLIPS", "--classes", "names.txt", "--out", "page.html", "--work", "work",
        "--engine", "sequential", "--checkpoint", "names.txt", *words, folder=folder,
    )  # fmt: skip


def test_a_gallery_shows_every_clip_and_counts(clips: Path):
    status, out, err = gallery(clips)
    assert (status, err) == (0, "")
    assert "audio: 1 of 1 right" in out and "2 clips in page.html" in out
    page = (clips / "page.html").read_text()
    assert page.count('class="card"') == 2 and "✓ bright loud" in page
    # By its frames alone the dark clip is given the first of two equal classes.
    assert '✗ dark loud</span> <span class="soft">is dark silent' in page
    assert page.count("<audio") == 1 and "no sound" in page
    assert "http" not in page.replace("http-equiv", "")  # a single file


def test_a_gallery_reads_a_clip_once(clips: Path, monkeypatch):
    assert gallery(clips)[0] == 0
    monkeypatch.setattr(
        "mdft.inference.reading.extract_clip", lambda *a, **k: pytest.fail("read again")
    )
    assert gallery(clips)[0] == 0


def test_a_gallery_names_the_clips_that_fail(clips: Path):
    (clips / "CLIPS/bad.mp4").write_bytes(b"no <b>video</b>")
    status, out, _ = gallery(clips)
    assert status == 1 and "skipped: CLIPS/bad.mp4" in out
    assert "CLIPS/bad.mp4" in (clips / "page.html").read_text()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["dark silent/1.mp4", "dark silent\\1.mp4", "./dark silent/1.mp4"])
def test_labels_come_from_a_table(clips: Path, separator: str, name: str):
    with (clips / "labels.csv").open("w", newline="") as file:
        rows = [("clip", "label"), (name, "Dark loud")]
        csv.writer(file, delimiter=separator).writerows(rows)
    status, out, _ = gallery(clips, "--labels", "labels.csv")
    assert status == 0 and "visual: 1 of 1 right" in out


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("dark silent/2.mp4", "dark loud")], "line 2: there is no clip 'dark silent/2.mp4'"),
        ([("dark silent/1.mp4", "dark")], "line 2: 'dark' is none of the class names"),
        (
            [("dark silent/1.mp4", "dark loud"), ("dark silent\\1.mp4", "dark silent")],
            "line 3: clip 'dark silent\\\\1.mp4' is listed twice, first in line 2",
        ),
    ],
)
def test_a_wrong_row_is_one_line(clips: Path, rows: list[tuple[str, str]], message: str):
    with (clips / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("clip", "label"), *rows])
    status, _, err = gallery(clips, "--labels", "labels.csv")
    assert status == 2 and message in err and not (clips / "page.html").exists()


def test_confusion_by_hand(clips: Path):
    from mdft.inference.gallery import Entry

    def entry(truth: str, guess: str) -> Entry:
        return Entry("n", truth, {"both": [(guess, 1.0)]}, {}, (), "", "", "")

    found = confusion([entry("a", "a"), entry("a", "c"), entry("b", "a"), entry("a", "a")])
    assert (found.truths, found.guesses) == (["a", "b"], ["a", "b", "c"])
    assert found.counts == [[2, 0, 1], [1, 0, 0]]


@pytest.mark.subprocess
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_frames_events_and_sound(clips: Path):
    """Each image and each sound of the page decodes; no name becomes markup."""
    names = "\n".join(TABLE)
    (clips / "names.txt").write_text(f"{names}\n")
    (clips / "CLIPS/bright loud/1.mp4").rename(clips / "CLIPS/bright loud/<b>x.mp4")
    assert gallery(clips)[0] == 0
    page = (clips / "page.html").read_text()
    script = """<script>addEventListener("load", async () => {
      const sounds = [...document.querySelectorAll("audio")];
      await Promise.all(sounds.map(s => s.readyState ? 0 : new Promise(ok => {
        s.onloadedmetadata = ok; s.onerror = ok; s.load(); })));
      document.title = JSON.stringify({
        images: [...document.images].map(i => i.naturalWidth),
        seconds: sounds.map(s => s.duration),
        names: [...document.querySelectorAll("h3")].map(h => h.textContent),
        wide: document.documentElement.scrollWidth <= innerWidth }); })</script>"""
    (clips / "probe.html").write_text(page.replace("</html>", f"{script}</html>"))
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--window-size=1280,900", "--virtual-time-budget=10000"),
            *(f"--user-data-dir={clips / 'profile'}", (clips / "probe.html").as_uri()),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.S)
    assert title, done.stderr[-500:]
    found = json.loads(html.unescape(title[1]))
    assert len(found["images"]) == 4 and all(width > 0 for width in found["images"])
    assert len(found["seconds"]) == 1 and found["seconds"][0] == pytest.approx(1, abs=0.1)
    assert found["names"][0] == "bright loud/<b>x.mp4" and found["wide"]
