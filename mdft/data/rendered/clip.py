"""Render one clip of the embedded benchmark: random parameters, frames and sound."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from mdft.config.rendered import HUES, OBJECTS, SCENES, RenderedConfig
from mdft.data.rendered.classes import SEEN, ClipClass
from mdft.data.rendered.drawing import draw_frames
from mdft.data.rendered.motions import trajectory
from mdft.data.rendered.scenes import paint
from mdft.data.rendered.sounds import mix

_CYCLES_A_SECOND = 1.0
_RADIUS, _AMPLITUDE = 0.155, 0.25  # relative to the frame's side
_SHAKE = 0.006  # relative to the frame's side
_NOISE = 1.0  # levels


@dataclass(frozen=True)
class Recipe:
    """The random parameters of one clip. Lengths are in units of the frame's side.

    Attributes:
        scene: one of ``SCENES``.
        phase: phase of the motion at t = 0, radians.
        rate: rate of the motion, cycles per second.
        amplitude: amplitude of the motion.
        x, y: centre of the motion.
        radius: radius of the object.
        angle: angle of the object, radians.
        hue: hue of the object, in turns.
        shake: amplitude of the camera shake.
        light: relative amplitude of the lighting change.
        light_rate: rate of the lighting change, cycles per second.
        light_phase: phase of the lighting change, radians.
        loudness: amplitude of the sound.
        noise: amplitude of the background noise.
    """

    scene: str
    phase: float
    rate: float
    amplitude: float
    x: float
    y: float
    radius: float
    angle: float
    hue: float
    shake: float
    light: float
    light_rate: float
    light_phase: float
    loudness: float
    noise: float


def draw_recipe(config: RenderedConfig, kind: ClipClass, rng: np.random.Generator) -> Recipe:
    """Sample the parameters of one clip."""
    leaves_home = rng.uniform() >= config.home_probability
    scenes = SCENES if kind.kind == SEEN and leaves_home else kind.scenes
    scene = scenes[rng.integers(len(scenes))]
    ranges = {
        "phase": (0, 2 * np.pi),
        "rate": (0.85 * _CYCLES_A_SECOND, 1.15 * _CYCLES_A_SECOND),
        "amplitude": (0.9 * _AMPLITUDE, 1.1 * _AMPLITUDE),
        "x": (0.47, 0.53),
        "y": (0.47, 0.53),
        "radius": (0.85 * _RADIUS, 1.15 * _RADIUS),
        "angle": (-0.4, 0.4),
        "hue": (-0.12, 0.12),
        "shake": (0.3 * _SHAKE, 1.7 * _SHAKE),
        "light": (0.0, 0.12),
        "light_rate": (0.1, 0.3),
        "light_phase": (0, 2 * np.pi),
        "loudness": (0.25, 0.6),
        "noise": (0.1, 0.3),
    }
    drawn = {name: float(rng.uniform(low, high)) for name, (low, high) in ranges.items()}
    drawn["hue"] += HUES[OBJECTS.index(kind.object)]
    return Recipe(scene, **drawn)


@dataclass(frozen=True)
class Clip:
    """One clip.

    Attributes:
        frames: (T·fps + 1, size, size, 3) uint8 RGB; the last one, at t = T, closes the last
            interval of the events and is not part of the video.
        sound: (T·sample_rate,) float32 in [−1, 1].
        times_us: (T·fps + 1,) int64 time stamps in µs.
        recipe: the clip's random parameters.
    """

    frames: np.ndarray
    sound: np.ndarray
    times_us: np.ndarray
    recipe: Recipe


def clip_rng(config: RenderedConfig, class_id: int, clip_id: int) -> np.random.Generator:
    """The random generator of a clip, independent of other clips and of the rendering order."""
    return np.random.default_rng(np.random.SeedSequence([config.seed, class_id, clip_id]))


def render_clip(config: RenderedConfig, kind: ClipClass, class_id: int, clip_id: int) -> Clip:
    """Render frames and sound of one clip; a deterministic function of its arguments."""
    rng = clip_rng(config, class_id, clip_id)
    recipe = draw_recipe(config, kind, rng)
    times = np.arange(config.seconds * config.fps + 1) / config.fps
    moved = trajectory(kind.motion, recipe.phase + 2 * np.pi * recipe.rate * times)
    frames = draw(config, kind.object, recipe, moved, times, rng)
    samples = np.arange(config.seconds * config.sample_rate) / config.sample_rate
    sound = mix(
        kind.sound,
        recipe.scene,
        recipe.phase + 2 * np.pi * recipe.rate * samples,
        config.sample_rate,
        rng,
        recipe.loudness,
        recipe.noise,
    )
    return Clip(frames, sound, np.round(times * 1e6).astype(np.int64), recipe)


def draw(
    config: RenderedConfig,
    thing: str,
    recipe: Recipe,
    moved: np.ndarray,
    times: np.ndarray,
    rng: np.random.Generator,
    place: np.random.Generator | None = None,
) -> np.ndarray:
    """Draw the frames of one clip: (F, size, size, 3) uint8 RGB.

    Args:
        config: parameters of the benchmark.
        thing: one of ``OBJECTS``.
        recipe: the random parameters of the clip.
        moved: (F, 4) pose of the object, as :func:`trajectory` returns.
        times: (F,) seconds.
        rng: random generator for the camera shake, the scene and the noise.
        place: random generator for the scene; default: ``rng``.
    """
    size = config.size
    shake = recipe.shake * size * _wander(times, rng)
    margin = int(np.ceil(np.abs(shake).max())) + 2
    texture = paint(recipe.scene, place or rng, size, margin)
    pose = np.empty_like(moved)
    pose[:, 0] = size * (recipe.x + recipe.amplitude * moved[:, 0])
    pose[:, 1] = size * (recipe.y + recipe.amplitude * moved[:, 1])
    pose[:, 2] = size * recipe.radius * moved[:, 2]
    pose[:, 3] = recipe.angle + moved[:, 3]
    gain = 1 + recipe.light * np.sin(2 * np.pi * recipe.light_rate * times + recipe.light_phase)
    frames = np.empty((len(times), size, size, 3), dtype=np.uint8)
    draw_frames(
        texture,
        pose,
        shake,
        gain,
        _colours(recipe.hue),
        OBJECTS.index(thing),
        _NOISE,
        int(rng.integers(2**62)),
        frames,
    )
    return frames


def _wander(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(F, 2) smooth random displacement of about unit size: three sines an axis."""
    rate = rng.uniform(0.4, 2.0, (3, 2))
    start = rng.uniform(0, 2 * np.pi, (3, 2))
    return np.sin(2 * np.pi * rate * times[:, None, None] + start).sum(axis=1) * 0.8


def _colours(hue: float) -> np.ndarray:
    """(2, 3) a light and a deeper tone of one hue, both brighter than the scenes."""
    light = colorsys.hsv_to_rgb(hue % 1, 0.30, 1.0)
    deep = colorsys.hsv_to_rgb(hue % 1, 0.75, 0.80)
    return 255 * np.array([light, deep])
