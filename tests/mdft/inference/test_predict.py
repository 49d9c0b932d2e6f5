"""``python -m mdft.predict``: clips, classes, simulators, pages, and mistakes in one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from rich.console import Console

import mdft
from events.video.wanted import Footage
from export import predict as export_predict
from mdft import predict
from mdft.cli import parse, run_main
from mdft.config import recipes
from mdft.config.features import FeatureConfig
from mdft.data.files.splits import read_lines
from mdft.data.scale import Scale
from mdft.data.video.clip import ClipFeatures
from mdft.data.video.names import hashed_vector
from mdft.data.video.prepare import prepare
from mdft.errors import UserError
from mdft.inference.candidates import Candidates, candidates, ranked
from mdft.model.mdft import MDFT
from mdft.runs.preprocessing import read_preprocessing
from mdft.training.run import train
from tests.mdft.own_clips import CLASSES, write_own

pytestmark = pytest.mark.rounding


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CLIPS, and RUN trained on them."""
    folder = tmp_path_factory.mktemp("predict")
    write_own(folder / "CLIPS")
    extract = FeatureConfig(size=16)
    prepare(folder / "CLIPS", folder / "OUT", extract, engine="sequential", progress=False)
    config = recipes.folder()
    data = replace(config.data, source="files", root=folder / "OUT", cache=folder / "cache")
    config = replace(config, data=data, epochs=1, batch_size=6, device="cpu")
    train(config, folder / "RUN", console=Console(file=StringIO()))
    shutil.rmtree(folder / "OUT")  # a run is enough to label clips
    shutil.rmtree(folder / "cache")
    return folder


def clip(own: Path) -> Path:
    return own / "CLIPS" / "cello playing" / "1.mp4"


def command(monkeypatch, *words: object, module: ModuleType = predict) -> int:
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, words)])
    with pytest.raises(SystemExit) as left:
        run_main(lambda: module.main(parse(module.Command, f"python -m {module.__name__}")))
    return int(left.value.code or 0)


def test_a_backend_that_is_unknown_is_one_line(own: Path, monkeypatch, capsys):
    words = (own / "RUN", "c.mp4", "--backend", "loihi9")
    assert command(monkeypatch, *words, module=export_predict) == 2
    written = capsys.readouterr().err
    assert "backend is 'loihi9', expected one of" in written and written.count("\n") == 1


def test_a_folder_is_labelled_as_each_of_its_clips(own: Path, monkeypatch, capsys, tmp_path: Path):
    words = (own / "CLIPS", "--work", tmp_path / "work", "--engine", "sequential", "--json")
    assert command(monkeypatch, own / "RUN", *words) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    alone = json.loads(_json_of(own, monkeypatch, capsys))
    same = next(line for line in found if line["clip"] == alone["clip"])
    assert same == alone and len(found) == len(list((own / "CLIPS").glob("*/*.mp4")))


def _json_of(own: Path, monkeypatch, capsys) -> str:
    assert command(monkeypatch, own / "RUN", clip(own), "--json") == 0
    return capsys.readouterr().out


def test_a_list_of_clips_is_labelled_as_each_alone(own: Path):
    """Embedded together, padded to the longest, and one by one."""
    classifier = mdft.load(own / "RUN")
    clips = [classifier.read(clip(own)), classifier.read(own / "CLIPS" / "cello playing" / "2.mp4")]
    clips[1] = replace(
        clips[1], **{k: getattr(clips[1], k)[:1] for k in ("audio_TD", "visual_TD", "events_TKD")}
    )
    together, alone = classifier.predict(clips), [classifier.predict(c) for c in clips]
    for guesses, expected in zip(together, alone, strict=True):
        found, distances = ({g.name: g.distance for g in x} for x in (guesses, expected))
        assert found == pytest.approx(distances, abs=1e-4)
    for found, o_E in zip(classifier.embed(clips), map(classifier.embed, clips), strict=True):
        torch.testing.assert_close(found, o_E, atol=1e-4, rtol=0)
    assert classifier.predict([]) == []
    assert set(classifier.classes) == {g.name for g in alone[0]}


def test_the_nearest_classes_are_shown_and_a_bad_clip_is_skipped(own: Path, monkeypatch, capsys):
    bad = own / "bad.mp4"
    bad.write_text("no film")
    assert command(monkeypatch, own / "RUN", clip(own), bad, "--top", 3) == 1
    shown = capsys.readouterr()
    assert "1.mp4, 4 classes to choose from" in shown.out
    assert len(re.findall(r"│ \d │", shown.out)) == 3
    assert shown.err.count("\n") == 1 and "bad.mp4: not a video" in shown.err
    odd = own / os.fsdecode(b"\xff\n\x1b[31m.mp4")
    shutil.copy(clip(own), odd)
    assert command(monkeypatch, own / "RUN", odd, "--explain", own / "odd.html") == 0
    assert "\ufffd \ufffd[31m.mp4, 4 classes" in capsys.readouterr().out


def test_json_is_one_line_a_clip(own: Path, monkeypatch, capsys):
    run = own / "RUN" / "model.safetensors"
    assert command(monkeypatch, run, clip(own), clip(own), "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2 and lines[0] == lines[1]
    guesses = lines[0]["guesses"]
    assert sorted(g["name"] for g in guesses) == sorted(CLASSES)
    assert [g["calibrated"] for g in guesses] == sorted(g["calibrated"] for g in guesses)
    context = read_preprocessing(own / "RUN")
    seen = {n for n, s in zip(context.classes, context.seen_C, strict=True) if s}
    assert {g["name"] for g in guesses if g["seen"]} == seen and len(seen) == 3


def test_names_of_ones_own_keep_the_runs_vectors_or_get_new_ones(own: Path):
    context = read_preprocessing(own / "RUN")
    found = candidates(context, ["Knitting", "juggling"])
    index = list(context.classes).index("knitting")
    np.testing.assert_array_equal(found.words_CW[0], context.words_CW[index])
    np.testing.assert_array_equal(found.words_CW[1], hashed_vector("juggling"))
    assert found.seen_C.tolist() == [bool(context.seen_C[index]), False]
    alike = candidates(context, ["Cello_playing", "ICE SKATING"])
    assert alike.seen_C.tolist() == [
        bool(context.seen_C[list(context.classes).index(name)])
        for name in ("cello playing", "Ice, skating")
    ]
    accent = replace(context, classes=["caf\u00e9", *context.classes[1:]])
    np.testing.assert_array_equal(candidates(accent, ["Cafe\u0301"]).words_CW, context.words_CW[:1])
    for names, named in (
        (["a", "b", "a"], "'a' is given twice"),
        (["knitting", "a", "Knitting"], "'Knitting' is the same class as 'knitting'"),
        ("knitting", "found 'knitting', expected a list"),
        ([], "expected a list"),
    ):
        with pytest.raises(UserError, match=named):
            candidates(context, names)
    with pytest.raises(UserError, match="computed from the letters of class names"):
        candidates(context, ["a"], Path("words.npz"))
    with pytest.raises(UserError, match=r"words\.npz: has no effect without --classes"):
        candidates(context, None, Path("words.npz"))


def test_new_names_need_the_words_that_the_run_was_trained_with(own: Path, tmp_path: Path):
    context = replace(read_preprocessing(own / "RUN"), words="glove.txt")
    with pytest.raises(UserError, match=r"class 'jugling' is unknown.*--vectors; 300 wide, from g"):
        candidates(context, ["jugling"])
    np.savez(tmp_path / "w.npz", jugling=np.ones(5))
    with pytest.raises(UserError, match="vectors have width 5, the run was trained with 300"):
        candidates(context, ["jugling"], tmp_path / "w.npz")
    np.savez(tmp_path / "w.npz", jugling=np.full(300, 0.5))
    found = candidates(context, ["jugling", "knitting"], tmp_path / "w.npz")
    assert (found.words_CW[0] == 0.5).all() and found.seen_C[0] == np.False_
    assert "note: the run was trained with the vectors of glove.txt" in found.notes


def test_beta_keeps_seen_classes_away_and_ties_keep_their_order():
    words_CW = np.zeros((4, 2), np.float32)
    choice = Candidates(list("abcd"), words_CW, np.array([True, False, True, False]))
    found = ranked(choice, np.array([1.0, 1.5, 0.5, 1.5]), beta=0.75)
    assert [(g.name, g.calibrated) for g in found] == [
        ("c", 1.25), ("b", 1.5), ("d", 1.5), ("a", 1.75),
    ]  # fmt: skip


def test_lists_of_classes_may_have_marks_blanks_and_any_letters(tmp_path: Path):
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffélan vital\r\n\r\n  nan \nСкрипка\n".encode())
    assert read_lines(path) == ["élan vital", "nan", "Скрипка"]
    for content, named in ((b"\n\n", "contains no class"), (b"\xff\xfea", "not UTF-8"),
                           (b"a\nb\na\n", "'a' is listed twice"),
                           (b"a\rb\n", "is not printable")):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(UserError, match=named):
            read_lines(path)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nowhere", "c.mp4"], "nowhere: no such folder"),
        (["RUN"], "CLIP"),
        (["RUN", "c.mp4", "--top", "0"], "--top is 0"),
        (["RUN", "c.mp4", "--classes", "none.txt"], "none.txt: no such list"),
        (["RUN", "c.mp4", "--explain", "x.txt"], "expected a name in .html"),
        (["RUN", "c.mp4", "d.mp4", "--explain", "x.html"], "--explain is '2 clips'"),
        (["RUN", "c.mp4", "--backbone", "selavi"], "trained on features of frozen"),
    ],
)
def test_a_mistake_is_one_line(own: Path, words, named: str, monkeypatch, capsys):
    monkeypatch.chdir(own)
    assert command(monkeypatch, *words) == 2
    written = capsys.readouterr().err
    assert named in written and written.count("\n") == 1
    assert not Path("x.html").exists()


def test_features_of_another_width_or_network_are_refused(own: Path, tmp_path: Path):
    context = read_preprocessing(own / "RUN")
    given = ClipFeatures(
        np.zeros((2, 128), np.float32), np.zeros((2, 512), np.float32),
        np.zeros((2, 8, 512), np.uint8), 25.0,
    )  # fmt: skip
    with pytest.raises(
        UserError, match="audio features have width 128, the run was trained on 512"
    ):
        context.batch([given])
    published = replace(context, extract=None)
    with pytest.raises(UserError, match="do not record their network"):
        published.features(None, None)
    assert published.features("frozen", None) == FeatureConfig()
    assert context.extract is not None
    other = replace(context, extract={**context.extract, "checkpoint": "0" * 64})
    with pytest.raises(
        UserError, match="its weights differ from those that the run was trained with"
    ):
        other.features(None, None)


def test_averaged_features_and_feature_events_are_made_as_in_training(own: Path):
    context = read_preprocessing(own / "RUN")
    rng = np.random.default_rng(0)
    audio, visual = rng.random((2, 3, 512)).astype(np.float32)
    given = ClipFeatures(audio, visual, np.zeros((3, 8, 512), np.uint8), 25.0)
    batch = replace(context, averaged=True, events="feature").batch([given])
    assert batch.events_BTKD.shape == (1, 1, 1, 512) and not batch.events_BTKD.any()
    expected = context.scales["audio"](audio.mean(0, keepdims=True))
    np.testing.assert_allclose(batch.audio_BTD[0], expected, rtol=1e-5, atol=1e-6)
    assert replace(context, events="feature").batch([given]).events_BTKD.any()


def test_events_beside_the_features_are_made_as_in_training(own: Path):
    context = read_preprocessing(own / "RUN")
    rng = np.random.default_rng(0)
    audio, visual = rng.random((2, 3, 512)).astype(np.float32)
    bins = rng.integers(0, 255, (3, 8, 512)).astype(np.uint8)
    own_scale, plain = context.scales["visual"], np.zeros(512)
    wide = Scale(
        np.concatenate([own_scale.mean_D, plain]),
        np.concatenate([own_scale.deviation_D, plain + 1]),
    )
    context = replace(context, inputs="features+events", scales={**context.scales, "visual": wide})
    batch = context.batch([ClipFeatures(audio, visual, bins, 25.0)])
    assert batch.visual_BTD.shape == (1, 24, 1024) and batch.mask_BT.all()
    for step in range(24):
        second, k = divmod(step, 8)
        expected = np.concatenate([own_scale(visual[second]), bins[second, k] / 16])
        np.testing.assert_allclose(batch.visual_BTD[0, step], expected, rtol=1e-6)
        np.testing.assert_array_equal(
            batch.audio_BTD[0, step], context.scales["audio"](audio[second])
        )
    narrow = ClipFeatures(audio, visual[:, :100], bins, 25.0)
    with pytest.raises(UserError, match=r"visual features have width 100, .* 512"):
        context.batch([narrow])


@pytest.mark.parametrize(
    "backend", ["reference_float", pytest.param("lava_fixed", marks=pytest.mark.lava)]
)
def test_the_motion_branch_runs_in_a_simulator(own: Path, backend: str, monkeypatch, capsys):
    words = [own / "RUN", clip(own), "--json"]
    simulate = [*words, "--backend", backend]
    assert command(monkeypatch, *simulate, module=export_predict) == 0
    simulated = capsys.readouterr()
    found = re.search(rf"motion in {backend}: (\d+) of ([\d,]+) spikes differ", simulated.err)
    assert found is not None
    differing, compared = found.groups()
    assert compared == f"{2 * 3 * 8 * 128:,}"
    assert command(monkeypatch, *words) == 0
    if backend == "reference_float":
        assert differing == "0"
        assert json.loads(simulated.out) == json.loads(capsys.readouterr().out)


class Tags(HTMLParser):
    """Collects what a page would load, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.loaded += [v for k, v in attrs if k in ("src", "href", "srcset") and v]

    def handle_data(self, data):
        self.text += data


def test_the_page_explains_the_answer_and_loads_nothing(own: Path, monkeypatch, capsys):
    source = own / "<b>&.mp4"
    shutil.copy(clip(own), source)
    target = own / "page.html"
    assert command(monkeypatch, own / "RUN", source, "--explain", target, "--json") == 0
    best = json.loads(capsys.readouterr().out)["guesses"][0]
    content = target.read_text(encoding="utf-8")
    assert "<b>" not in content and "&lt;b&gt;&amp;.mp4" in content
    page = Tags()
    page.feed(content)
    assert len(page.loaded) == 5 and all(x.startswith("data:image/png") for x in page.loaded)
    assert f"{best['name']} ({'seen' if best['seen'] else 'unseen'})" in page.text
    assert f"{best['distance']:.3f}" in page.text and "Without motion" in page.text
    assert not list(own.glob(".page*"))


def test_without_motion_is_what_the_model_says_when_nothing_fires(own: Path):
    """Independent of the page's code: the branches are replaced by silent ones."""
    from mdft.inference.explain import explain

    classifier = mdft.load(own / "RUN")
    model = classifier.model
    assert isinstance(model, MDFT)
    read, choice = classifier.read(clip(own), keep_footage=True), classifier.candidates()
    found = explain(classifier, read, choice, classifier.predict(read))
    with torch.no_grad():
        for pathway in ("audio", "visual"):
            branch = model.branch(pathway)
            for weights in branch.linears.parameters():
                weights.zero_()
            branch.v_threshold = 100.0
    silent = classifier.predict(read)
    assert [g.name for g in found.without] == [g.name for g in silent]
    np.testing.assert_allclose(
        [g.distance for g in found.without], [g.distance for g in silent], rtol=1e-6
    )
    assert [g.distance for g in found.guesses] != [g.distance for g in found.without]
    assert [p.name for p in found.pathways] == ["audio", "visual"]
    assert found.pathways[0].theta_S.shape == (8,)


def test_the_page_shows_the_middle_that_the_model_is_given():
    from mdft.inference.explain import _middle

    seconds = np.arange(5)
    frames = np.repeat(seconds, 4).astype(np.uint8)[:, None, None, None]
    sound = np.repeat(seconds, 10).astype(np.float32)
    bins = np.repeat(seconds, 2 * 512).astype(np.uint8).reshape(5, 2, 512)
    whole = Footage(frames, sound, bins, 25.0, ())
    assert _middle(whole, None) is whole and _middle(whole, 5) is whole
    found = _middle(whole, 2)
    assert found.seconds == 2 and found.remarks == ("the middle 2 s of 5 s, as in training",)
    assert found.frames.ravel().tolist() == [1] * 4 + [2] * 4
    assert found.sound.tolist() == [1] * 10 + [2] * 10
    assert (found.bins == np.array([1, 2])[:, None, None]).all()
