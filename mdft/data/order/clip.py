"""Render one clip of the benchmark of order."""

from __future__ import annotations

import numpy as np

from mdft.config.rendered import SCENES, RenderedConfig
from mdft.data.order.classes import OrderClass
from mdft.data.order.sequence import displacement, draw_pace, envelope
from mdft.data.rendered.clip import Clip, clip_rng, draw, draw_recipe
from mdft.data.rendered.sounds import background, synthesise

#: Length of a stroke, relative to the amplitude of the embedded benchmark's motions.
_REACH = 1.15
#: Key of the random stream of the scenes.
_PLACES = 0x706C6163
#: Modulations of the sound per second, many within its duration.
_MODULATIONS = 4.0


def render_clip(config: RenderedConfig, kind: OrderClass, class_id: int, clip_id: int) -> Clip:
    """Render frames and sound of one clip; a deterministic function of its arguments.

    The cycle is as long as the clip and starts at a random phase. Nothing but the order of strokes,
    rests and sound depends on the class's order: all random numbers are drawn before it is used. A
    scene is one place: it looks the same in all clips, so that a clip cannot be recognised by its
    background.
    """
    rng = clip_rng(config, class_id, clip_id)
    recipe, pace = draw_recipe(config, kind, rng), draw_pace(rng)
    start = recipe.phase / (2 * np.pi)
    times = np.arange(config.seconds * config.fps + 1) / config.fps
    rest, one = np.zeros_like(times), np.ones_like(times)
    moved = _REACH * displacement(kind.order, pace, start + times / config.seconds)
    pose = np.stack([moved, rest, one, rest], axis=1)
    place = np.random.default_rng([config.seed, _PLACES, SCENES.index(recipe.scene)])
    frames = draw(config, kind.object, recipe, pose, times, rng, place)

    samples = np.arange(config.seconds * config.sample_rate) / config.sample_rate
    modulation = 2 * np.pi * (_MODULATIONS * recipe.rate * samples + rng.uniform())
    heard = synthesise(kind.sound, modulation, config.sample_rate, rng)
    heard *= recipe.loudness * envelope(kind.order, pace, start + samples / config.seconds)
    heard += recipe.noise * background(recipe.scene, len(samples), config.sample_rate, rng)
    sound = np.clip(heard, -1, 1).astype(np.float32)
    return Clip(frames, sound, np.round(times * 1e6).astype(np.int64), recipe)
