"""The embedded benchmark as a whole: one seed, one result; its cache; its films."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import tyro

from events import frames_to_events, rgb_to_luma
from mdft.cli import run_main
from mdft.config.rendered import ClassCounts, RenderedConfig
from mdft.data import cache
from mdft.data.rendered import benchmark as rendered
from mdft.data.rendered.__main__ import Arguments, main
from mdft.data.rendered.classes import make_classes
from mdft.data.rendered.clip import render_clip
from mdft.data.standardise import standardised
from mdft.errors import UserError

pytestmark = pytest.mark.rounding

TINY = RenderedConfig(
    seed=3,
    counts=ClassCounts(
        groups=4,
        seen_per_group=2,
        unseen_per_group=2,
        val_groups=1,
        test_groups=1,
        motions=4,
        clips_per_class=4,
        val_clips=1,
        test_clips=1,
    ),
    seconds=2,
    size=32,
)


@pytest.fixture(scope="module")
def tiny():
    return rendered.build(TINY, progress=False, threads=2)


def same(a, b):
    arrays = ("audio_MD", "visual_MD", "events_MKD", "offsets_N1", "labels_N", "words_CW")
    for name in arrays:
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype and x.tobytes() == y.tobytes(), name
    assert a.splits.keys() == b.splits.keys()
    assert all(np.array_equal(a.splits[s], b.splits[s]) for s in a.splits)
    assert list(a.names) == list(b.names) and list(a.classes) == list(b.classes)


def test_shapes_and_types(tiny):
    n = 12 * 4
    assert tiny.audio_MD.shape == tiny.visual_MD.shape == (n * 2, 512)
    assert tiny.audio_MD.dtype == tiny.visual_MD.dtype == tiny.words_CW.dtype == np.float32
    assert tiny.events_MKD.shape == (n * 2, 8, 512) and tiny.events_MKD.dtype == np.uint8
    assert tiny.words_CW.shape == (12, 300)
    assert list(tiny.classes) == sorted(tiny.classes)
    assert len(set(tiny.names)) == n
    for name, label in zip(tiny.names, tiny.labels_N, strict=True):
        assert name.startswith(tiny.classes[label] + "_")
    assert np.isfinite(tiny.audio_MD).all() and np.isfinite(tiny.visual_MD).all()
    assert (tiny.seconds_N == 2).all()


def test_same_bits_on_one_thread_and_two(tiny):
    before = torch.get_num_threads()
    same(tiny, rendered.build(TINY, progress=False, threads=1))
    assert torch.get_num_threads() == before


def test_another_seed_is_another_benchmark(tiny):
    other = rendered.build(replace(TINY, seed=4), progress=False)
    assert not np.array_equal(other.events_MKD, tiny.events_MKD)
    assert not np.allclose(other.words_CW, tiny.words_CW)


def test_a_clip_depends_on_no_other(tiny):
    classes = make_classes(TINY.seed, TINY.counts)
    more = replace(TINY, counts=replace(TINY.counts, clips_per_class=9))
    clip, again = render_clip(TINY, classes[5], 5, 3), render_clip(more, classes[5], 5, 3)
    assert clip.frames.tobytes() == again.frames.tobytes()
    assert clip.sound.tobytes() == again.sound.tobytes()


def test_bins_count_the_events_of_the_pixels(tiny):
    """E_v against a histogram, in plain numpy, of the events of the drawn frames."""
    classes = make_classes(TINY.seed, TINY.counts)
    clip = render_clip(TINY, classes[2], 2, 1)
    found = frames_to_events(rgb_to_luma(clip.frames), clip.times_us)
    count = np.zeros((16, 2, 16, 16))
    inside = found[found["t"] < 2_000_000]
    index = (inside["t"] // 125_000, inside["p"].astype(int), inside["y"] // 2, inside["x"] // 2)
    np.add.at(count, index, 1)
    expected = np.minimum(255, np.floor(count * 16 / 4 + 0.5)).reshape(2, 8, 512)
    clip_rows, _ = tiny.rows(np.array([2 * 4 + 1]))
    assert count.sum() > 1000
    assert count[-1].sum() > 0.6 * count[:-1].sum() / 15  # no half-empty last bin
    np.testing.assert_array_equal(tiny.events_MKD[clip_rows], expected)


def test_standardised_on_the_training_clips_alone(tiny):
    train = tiny.splits["stage_1_train"]
    assert tiny.visual_MD.min() >= 0
    batch = standardised(tiny).batch(np.arange(len(tiny)))
    for features in (batch.audio_BTD.numpy(), batch.visual_BTD.numpy()):
        seen = features[train].reshape(-1, 512).astype(np.float64)
        np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-4)
        assert np.median(seen.std(axis=0)) == pytest.approx(1, abs=1e-4)
        assert abs(features.reshape(-1, 512).astype(np.float64).mean(axis=0)).max() > 1e-2


def test_cache_is_hit(tiny, tmp_path, monkeypatch):
    same(rendered.load(TINY, tmp_path, progress=False), tiny)
    monkeypatch.setattr(rendered, "build", lambda *_: pytest.fail("drawn again"))
    same(rendered.load(TINY, tmp_path, progress=False), tiny)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_damaged_cache_is_noticed_and_drawn_again(tiny, tmp_path, monkeypatch, capsys, damage):
    path = rendered.cache_path(TINY, tmp_path)
    cache.save(tiny, path)
    intact = path.read_bytes()
    data = bytearray(intact)
    data[len(data) // 2] ^= 1
    path.write_bytes({"flip": bytes(data), "cut": intact[: len(intact) // 2], "empty": b""}[damage])
    with pytest.raises(UserError, match=path.name):
        cache.read(path)
    monkeypatch.setattr(rendered, "build", lambda *_: tiny)
    same(rendered.load(TINY, tmp_path, progress=False), tiny)
    notice = capsys.readouterr().err
    assert notice.count("\n") == 1 and path.name in notice
    same(cache.read(path)[0], tiny)
    assert list(tmp_path.iterdir()) == [path]


def test_fingerprint_follows_every_parameter_and_the_renderer(tmp_path, monkeypatch):
    variants = [
        TINY,
        *(
            replace(TINY, **change)
            for change in (
                {"seed": 5},
                {"seconds": 3},
                {"fps": 8},
                {"size": 48},
                {"sample_rate": 16000},
                {"home_probability": 0.5},
                {"bins_per_second": 4},
                {"event_threshold": 0.3},
                {"word_noise": 0.0},
                {"counts": replace(TINY.counts, val_clips=2)},
            )
        ),
    ]
    paths = {rendered.cache_path(config, tmp_path) for config in variants}
    monkeypatch.setattr(rendered, "RENDERER_VERSION", 0)
    paths.add(rendered.cache_path(TINY, tmp_path))
    monkeypatch.setattr(rendered, "RENDERER_VERSION", -1)
    paths.add(rendered.cache_path(TINY, tmp_path))
    assert len(paths) == len(variants) + 2


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MDFT_CACHE", str(tmp_path / "a"))
    assert cache.cache_folder() == tmp_path / "a"
    monkeypatch.delenv("MDFT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert cache.cache_folder() == tmp_path / "b" / "mdft"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_folder() == Path.home() / ".cache" / "mdft"
    assert cache.cache_folder(tmp_path) == tmp_path


def test_film_has_the_clips_frames_and_sound(tmp_path):
    classes = make_classes(TINY.seed, TINY.counts)
    (path,) = rendered.export_mp4(TINY, classes[0].name, tmp_path / "films", clips=(2,))
    clip = render_clip(TINY, classes[0], 0, 2)
    with av.open(str(path)) as film:
        (video,), (audio,) = film.streams.video, film.streams.audio
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height, video.average_rate) == (128, 128, 16)
        shown = [f.to_ndarray(format="rgb24") for f in film.decode(video)]
    assert len(shown) == len(clip.frames) - 1 == 32
    small = np.stack(shown).reshape(32, 32, 4, 32, 4, 3).mean(axis=(2, 4))
    assert np.abs(small - clip.frames[:-1]).mean() < 8
    with av.open(str(path)) as film:
        heard = np.concatenate([f.to_ndarray()[0] for f in film.decode(audio=0)])
    assert 16000 <= len(heard) <= 16000 + 2 * 1024
    # AAC delays by a whole block, or not, as the edit list is honoured.
    match = max(np.corrcoef(heard[d : d + 14000], clip.sound[:14000])[0, 1] for d in (0, 1024))
    assert match > 0.7
    assert list(path.parent.iterdir()) == [path]


def command(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as left:
        run_main(lambda: main(tyro.cli(Arguments, args=arguments)))
    return left.value.code


def test_command_line_lists_all_classes(capsys):
    assert command("--list") == 0
    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    expected = make_classes(0, ClassCounts())
    assert [line[:2] for line in listed] == [[c.name, c.kind] for c in expected]


def test_command_line_answers_a_mistake_in_one_line(tmp_path, capsys):
    for arguments, named in (
        (["--export", "no_such_class", "--out", str(tmp_path / "x")], "no_such_class"),
        (["--list", "--size", "5"], "size is 5"),
        ([], "--list"),
    ):
        assert command(*arguments) == 2
        written = capsys.readouterr()
        assert written.err.count("\n") == 1 and named in written.err and not written.out
    assert not (tmp_path / "x").exists()
