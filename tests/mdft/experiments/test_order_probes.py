"""The probes of the benchmark of order, on tiny clips and on sequences made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mdft.config.order import OrderConfig, OrderCounts
from mdft.data.rendered import benchmark
from mdft.errors import UserError
from mdft.experiments import order, probes
from mdft.experiments.gru import GruConfig, train
from mdft.experiments.order import Command, main, table
from mdft.experiments.probes import Clips, Found
from mdft.gzsl import Scores
from mdft.model.regression import ridge

pytestmark = pytest.mark.rounding

TINY = OrderConfig(
    counts=OrderCounts(groups=4, clips_per_class=4, val_clips=1, test_clips=1), seconds=2, size=32
)


@pytest.fixture(scope="module")
def tiny() -> Clips:
    return probes.with_attributes(TINY, benchmark.build(TINY, progress=False))


def test_the_attributes_are_those_in_the_names(tiny):
    for i in (0, 37, len(tiny.clips) - 1):
        values = zip(probes.ATTRIBUTES.values(), tiny.values_NA[i], strict=True)
        name = "-".join(names[value] for names, value in values)
        assert tiny.clips.names[i].startswith(name + "_")
    assert (tiny.onehot_NV.sum(axis=1) == 6).all() and tiny.onehot_NV.shape[1] == 6 + 8 + 6


def test_inputs_by_hand(tiny):
    clips, train = tiny.clips, tiny.clips.splits["stage_1_train"]
    flat, found = probes.flat_inputs(clips), probes.sequence_inputs(clips)
    n = len(clips)
    events = clips.events_MKD.reshape(n, 16, 512).astype(float)
    events /= np.sqrt((events[train] ** 2).mean())
    np.testing.assert_allclose(flat["events, mean"], events.mean(axis=1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(flat["events over time"], events.reshape(n, -1), rtol=1e-4)
    audio = clips.audio_MD.reshape(n, 2, 512).astype(float)
    deviation = np.maximum(audio[train].std(axis=(0, 1)), 1e-3)
    audio = (audio - audio[train].mean(axis=(0, 1))) / deviation
    np.testing.assert_allclose(flat["audio features, mean"], audio.mean(axis=1), atol=1e-4)
    both = found["features and events over time"]
    assert both.shape == (n, 16, 1536) and found["features over time"].shape == (n, 2, 1024)
    np.testing.assert_allclose(both[:, 8, :512], 0.3 * audio[:, 1], atol=1e-4)
    np.testing.assert_allclose(both[:, :, 1024:], 2 * events, rtol=1e-4)


def test_the_oracle_is_perfect_and_chance_is_counted(tiny):
    found = probes.oracle(tiny)
    assert (found.scores.hm, found.scores.zsl) == (1, 1)
    assert set(found.attributes.values()) == {1.0}
    guess = probes.chance(tiny)
    assert guess.scores.hm == pytest.approx(1 / 48) and guess.scores.zsl == pytest.approx(1 / 8)
    assert guess.attributes["tempo"] == 0.5


def test_chance_is_what_guessing_has(tiny):
    rng, found = np.random.default_rng(0), []
    for _ in range(40):
        words = rng.standard_normal((len(tiny.clips), 300))
        distances = probes._distances(tiny.clips, words, ("test_seen", "test_unseen"))
        found.append(probes.gzsl.scores(*distances).zsl)
    assert np.mean(found) == pytest.approx(1 / 8, abs=0.03)


def test_ridge_finds_the_words_in_an_input_that_has_them(tiny):
    x = tiny.words_NW @ np.random.default_rng(0).standard_normal((300, 40))
    found = probes.ridge_probe(tiny, x)
    assert found.scores.hm > 0.9 and found.attributes["count"] > 0.9
    noise = np.random.default_rng(1).standard_normal(x.shape)
    assert probes.ridge_probe(tiny, noise).scores.hm < 0.2


def test_nothing_of_the_test_clips_is_used_before_the_test(tiny):
    """Other labels and inputs of the test splits leave strength and β as they are."""
    x = probes.flat_inputs(tiny.clips)["all three, means"]
    test = np.concatenate([tiny.clips.splits[s] for s in ("test_seen", "test_unseen")])
    found, changed = probes.ridge_probe(tiny, x), x.copy()
    changed[test] = 0
    assert probes.ridge_probe(tiny, changed).scores.beta == found.scores.beta


def test_the_gru_recognises_an_order_that_the_mean_does_not_have():
    """A at a random time, then B a little later, or B, then A."""
    rng = np.random.default_rng(0)
    x, values = np.zeros((600, 16, 4), np.float32), rng.integers(0, 2, 600)
    for sequence, value, start in zip(x, values, rng.integers(0, 12, 600), strict=True):
        sequence[start, value], sequence[start + 3, 1 - value] = 1, 1
    seen: list[np.ndarray] = []
    config = GruConfig(embedding=16, hidden=16, epochs=20, learning_rate=1e-2)
    clips, state = np.arange(400), torch.get_rng_state()
    train(
        torch.from_numpy(x), torch.from_numpy(values[:, None]), [2], clips, config, 0,
        lambda epoch, p: seen.append(p),
    )  # fmt: skip
    assert len(seen) == 20 and torch.equal(torch.get_rng_state(), state)
    np.testing.assert_allclose(seen[-1].sum(axis=1), 1)
    assert (seen[-1].argmax(axis=1) == values)[400:].mean() > 0.95
    mean, target = x.mean(axis=1), values[:, None].astype(float)
    weight, x_mean, y_mean = ridge(mean[:400], target[:400], 1e-3)
    guess = (mean[400:] - x_mean) @ weight + y_mean > 0.5
    assert (guess[:, 0] == values[400:]).mean() < 0.65


def test_the_gru_probe_is_one_result_for_one_seed(tiny):
    x = probes.sequence_inputs(tiny.clips)["features and events over time"]
    config = GruConfig(embedding=8, hidden=8, epochs=2)
    a, b = (probes.gru_probe(tiny, x, 5, config) for _ in range(2))
    assert a == b and 0 <= a.scores.hm <= 1


def test_the_table_by_hand():
    def found(hm: float, tempo: float) -> dict[str, Found]:
        attributes = dict.fromkeys(probes.ATTRIBUTES, 0.5) | {"tempo": tempo}
        return {"GRU": Found(Scores(0.4, 0.2, hm, 0.3, {}, {}, 0.0), attributes)}

    lines = table([found(0.2, 0.6), found(0.3, 0.8)]).splitlines()
    half = "50.0 ± 0.0"
    assert lines[0] == (
        "|  | S | U | HM | ZSL | object | direction | tempo | count | timing | sound |"
    )
    assert lines[2] == (
        f"| GRU | 40.0 ± 0.0 | 20.0 ± 0.0 | 25.0 ± 7.1 | 30.0 ± 0.0 | {half} | {half} | "
        f"70.0 ± 14.1 | {half} | {half} | {half} |"
    )


def test_the_command_keeps_the_aim_and_writes_the_rest(tmp_path, monkeypatch, tiny):
    page = tmp_path / "order.md"
    page.write_text("# Title\n\nThe aim.\n")
    monkeypatch.setattr(benchmark, "load", lambda config: benchmark.build(config, progress=False))
    monkeypatch.setattr(
        benchmark, "build", lambda config, **_: replace(tiny.clips)
    )  # the command's own clips are larger
    monkeypatch.setattr(probes, "with_attributes", lambda config, clips: tiny)
    for seeds in ((0,), (0, 1)):
        assert main(Command(out=page, seeds=seeds, epochs=1)) == 0
        text = page.read_text()
        assert text.startswith("# Title\n\nThe aim.\n\n<!-- written by")
        assert text.count("The aim.") == text.count("## Probes") == 1
        assert text.count("| oracle |") == 1 and f"--seeds {' '.join(map(str, seeds))}`" in text


def test_a_page_without_an_aim_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such page"):
        main(Command(out=tmp_path / "none.md"))
    with pytest.raises(UserError, match=r"--seeds is .empty., expected at least one"):
        main(Command(out=tmp_path / "none.md", seeds=()))


def test_the_page_is_the_one_that_the_command_writes():
    page = (Path(__file__).parents[3] / "docs" / "order.md").read_text()
    for part in (order._GENERATED, order._CONTENT, order._PROBES):
        assert page.count(part) == 1
