"""Drawing, motion, sound and features of the embedded benchmark, each on its own."""

from __future__ import annotations

import numpy as np
import pytest

from mdft.config.rendered import MOTIONS, OBJECTS, SCENES, SOUNDS
from mdft.data.extractor import frame_features, log_mel, make_extractor, mel_filters, sound_features
from mdft.data.rendered.drawing import draw_frames
from mdft.data.rendered.motions import trajectory
from mdft.data.rendered.scenes import paint
from mdft.data.rendered.sounds import background, mix, synthesise
from mdft.errors import UserError

pytestmark = pytest.mark.rounding

RED_GREEN = np.array([[255.0, 0, 0], [0, 255.0, 0]])


def draw(shape=0, noise=0.0, gain=1.0, shake=0.0, radius=8.0, size=32, seed=1):
    texture = np.full((size + 8, size + 8, 3), 50.0, dtype=np.float32)
    texture[:, size // 2 + 4 :] = 90.0
    frames = np.empty((1, size, size, 3), dtype=np.uint8)
    pose = np.array([[size / 2, size / 2, radius, 0.0]])
    draw_frames(
        texture, pose, np.full((1, 2), shake), np.array([gain]), RED_GREEN, shape, noise, seed,
        frames,
    )  # fmt: skip
    return frames[0].astype(int)


def test_object_covers_its_area():
    picture = draw(shape=0, radius=10.0)
    covered = 255 - (picture[..., 2] * 255 / np.where(np.arange(32) < 16, 50, 90))
    assert covered.sum() / 255 == pytest.approx(np.pi * 10**2, rel=0.02)


@pytest.mark.parametrize("shape", range(len(OBJECTS)))
def test_every_object_has_two_colours_inside_its_radius(shape):
    picture = draw(shape=shape)
    red, green = picture[..., 0] > 200, picture[..., 1] > 200
    assert red.sum() > 15 and green.sum() > 15
    y, x = np.nonzero(red | green)
    assert np.hypot(x - 15.5, y - 15.5).max() < 8 * 1.25


def test_objects_differ():
    pictures = [draw(shape=s) for s in range(len(OBJECTS))]
    for i, a in enumerate(pictures):
        assert all(np.abs(a - b).sum() > 1000 for b in pictures[:i])


def test_light_and_shake():
    assert draw(gain=1.2)[0, 0].tolist() == [60, 60, 60]
    edge = draw(shake=2.0)[1]
    assert (edge[:18] == 50).all() and (edge[18:] == 90).all()


def test_noise_has_its_deviation_and_seed():
    clean, noisy = draw(), draw(noise=4.0, size=32)
    difference = (noisy - clean)[np.r_[0:5, 27:32]]
    assert difference.std() == pytest.approx(4.0, rel=0.15)
    assert abs(difference.mean()) < 0.5
    assert np.array_equal(noisy, draw(noise=4.0))
    assert not np.array_equal(noisy, draw(noise=4.0, seed=2))


@pytest.mark.parametrize("motion", MOTIONS)
def test_motion_is_continuous_periodic_and_in_the_picture(motion):
    phase = np.linspace(0, 4 * np.pi, 1001)
    pose = trajectory(motion, phase)
    assert pose.shape == (1001, 4)
    assert np.abs(np.diff(pose, axis=0)).max() < 0.05
    turned = pose[-1] - pose[0]
    turned[3] = (turned[3] + np.pi) % (2 * np.pi) - np.pi
    np.testing.assert_allclose(turned, 0, atol=1e-9)
    assert np.abs(pose[:, :2]).max() < 1.25
    assert np.ptp(pose, axis=0).max() > 0.5, "it must move"


def test_orbits_turn_the_way_their_names_say():
    phase = np.linspace(0, 6, 100)
    for motion, sign in (("orbits_cw", 1), ("orbits_ccw", -1)):
        x, y = trajectory(motion, phase)[:, :2].T
        # y points down: a positive cross product is clockwise on the screen.
        assert (np.sign(x[:-1] * np.diff(y) - y[:-1] * np.diff(x)) == sign).all()


@pytest.mark.parametrize("scene", SCENES)
def test_scene_is_textured_darker_than_objects_and_its_own(scene):
    picture = paint(scene, np.random.default_rng(0), 64, 4)
    assert picture.shape == (72, 72, 3) and picture.dtype == np.float32
    assert picture.min() >= 22 and picture.max() <= 150
    assert picture.std(axis=(0, 1)).max() > 4
    large = paint(scene, np.random.default_rng(0), 128, 8).reshape(72, 2, 72, 2, 3)
    small = large.mean(axis=(1, 3))
    centred = [p - p.mean(axis=(0, 1)) for p in (small, picture)]
    alike = (centred[0] * centred[1]).sum() / np.sqrt(np.prod([(c**2).sum() for c in centred]))
    assert alike > 0.9, "a larger picture shows the same scene"


@pytest.mark.parametrize("sound", SOUNDS)
def test_sound_is_heard_over_its_background(sound):
    phase = np.linspace(0, 6 * np.pi, 24000)
    wave = synthesise(sound, phase, 8000, np.random.default_rng(0))
    assert wave.shape == (24000,)
    assert 0.05 < np.sqrt(np.mean(wave**2)) < 1
    heard = mix(sound, "sea", phase, 8000, np.random.default_rng(0), 0.4, 0.1)
    assert heard.dtype == np.float32 and np.abs(heard).max() <= 1


def test_sounds_follow_the_motion():
    """Bells strike once a cycle, wherever the motion's phase puts it."""
    t = np.arange(24000) / 8000
    for start in (0.25, 0.6):
        wave = synthesise("bells", 2 * np.pi * (t + start), 8000, np.random.default_rng(0))
        loud = (wave**2).reshape(-1, 200).sum(axis=1)
        strikes = np.nonzero(np.diff(loud) > 0.5 * loud.max())[0] + 1
        np.testing.assert_allclose(strikes * 0.025, np.arange(1, 4) - start, atol=0.03)


def test_background_has_unit_power_and_the_scenes_colour():
    spectra = []
    for scene in SCENES:
        noise = background(scene, 24000, 8000, np.random.default_rng(0))
        assert np.mean(noise**2) == pytest.approx(1)
        power = np.abs(np.fft.rfft(noise)[:12000]) ** 2
        spectra.append(np.log(power.reshape(40, -1).mean(axis=1)))
    assert all(np.abs(a - b).mean() > 0.1 for i, a in enumerate(spectra) for b in spectra[:i])


def test_mel_filters_peak_where_the_mel_scale_says():
    filters = mel_filters(64, 512, 16000)
    assert filters.shape == (64, 257) and filters.min() == 0 and filters.max() <= 1
    top = 2595 * np.log10(1 + 8000 / 700)
    centres = 700 * (10 ** (top * np.arange(1, 65) / 65 / 2595) - 1)
    peaks = filters.argmax(axis=1) * 16000 / 512
    assert np.abs(peaks - centres).max() <= 16000 / 512 + 1e-9


def test_log_mel_of_a_tone_peaks_at_its_frequency():
    extractor = make_extractor(0, 8000)
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 8000)
    mel = log_mel(tone, extractor)
    assert mel.shape == (64, 200) and mel.dtype == np.float32
    top = 2595 * np.log10(1 + 4000 / 700)
    expected = 2595 * np.log10(1 + 1000 / 700) / top * 65 - 1
    assert np.abs(mel[:, 5:-5].argmax(axis=0) - expected).max() < 1


def test_features_are_per_second_and_seeded():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (32, 32, 32, 3), dtype=np.uint8)
    sound = rng.standard_normal(16000)
    extractor, again, other = (make_extractor(s, 8000) for s in (0, 0, 1))
    seen, heard = frame_features(frames, 16, extractor), sound_features(sound, extractor)
    assert seen.shape == heard.shape == (2, 512)
    assert np.array_equal(seen, frame_features(frames, 16, again))
    assert np.array_equal(heard, sound_features(sound, again))
    assert not np.allclose(seen, frame_features(frames, 16, other))
    # A second depends on its own frames alone, and not on their order.
    shuffled = frames.copy()
    shuffled[[2, 6, 10, 14]] = frames[[14, 2, 6, 10]]
    shuffled[16:] = 0
    np.testing.assert_allclose(frame_features(shuffled, 16, extractor)[0], seen[0], rtol=1e-5)


def test_weights_are_orthogonal_with_hes_gain():
    for weight, _ in (*make_extractor(0, 8000).frames, *make_extractor(0, 8000).sound):
        rows = weight.flatten(1).double().numpy()
        gram = rows @ rows.T
        np.testing.assert_allclose(np.diag(gram), 2, atol=1e-5)
        if rows.shape[0] <= rows.shape[1]:
            np.testing.assert_allclose(gram, 2 * np.eye(len(gram)), atol=1e-5)


def test_unknown_names_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="'flies'"):
        trajectory("flies", np.zeros(3))
    with pytest.raises(UserError, match="'moon'"):
        paint("moon", rng, 32, 2)
    with pytest.raises(UserError, match="'roar'"):
        synthesise("roar", np.zeros(8), 8000, rng)
