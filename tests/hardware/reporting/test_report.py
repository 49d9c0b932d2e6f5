"""`python -m hardware.report`: one page, its numbers, and the first divergence marked."""

from __future__ import annotations

import base64
import json
import re
import warnings
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from hardware import report
from hardware.graph.graph import lower, read_network
from hardware.reference_float import reference_float
from hardware.report import ReportConfig, build, main
from hardware.reporting.figures import Picture, figures, offsets
from hardware.reporting.page import page
from hardware.simulation import simulate
from tests.hardware.html_text import Text
from tests.hardware.nets import lif, random_graph, random_inputs, write_probe
from tests.nir_here import reading_here

SAMPLES, STEPS, NEURONS = 3, 9, 32


def export(folder: Path, name: str = "motion_audio.nir", graph: nir.NIRGraph | None = None):
    rng = np.random.default_rng(0)
    path, probe = folder / name, folder / "probe.npz"
    net = graph or random_graph(rng, layers=2)
    nir.write(path, net)
    network, inputs = lower(net), random_inputs(rng)
    inputs = {n: inputs[n] for n in network.inputs}
    write_probe(probe, "audio", inputs, reference_float(network, inputs))
    return path, probe


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return export(tmp_path_factory.mktemp("graph"))


@pytest.fixture(scope="module")
def made(files, tmp_path_factory) -> tuple[dict[str, Any], str]:
    """The numbers and the page of the graph, from the command line."""
    out = tmp_path_factory.mktemp("report")
    words = [str(f) for f in files]
    with reading_here():
        assert main([*words, "--out", str(out / "r.html"), "--json", str(out / "r.json")]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["r.html", "r.json"]
    return json.loads((out / "r.json").read_text()), (out / "r.html").read_text()


def flip(probe: Path, sample: int, step: int, neuron: int, layer: str = "lif_1") -> Path:
    """The probe with one spike the other way, beside it."""
    with np.load(probe) as file:
        arrays = dict(file)
    spikes = arrays[f"audio.spikes.{layer}"]
    spikes[sample, step, neuron] = 1 - spikes[sample, step, neuron]
    other = probe.with_name("flipped.npz")
    np.savez(other, **arrays)
    return other


def test_the_page_says_what_the_json_says(made):
    numbers, html = made
    text = Text(html)
    rows = {tuple(row[:2]): row for row in text.rows}
    for b in numbers["backends"]:
        layers = (b["must"] or b["shown"])["probe"]
        total = sum(x["compared"] for x in layers)
        assert total == 2 * SAMPLES * STEPS * NEURONS
        row = rows[b["backend"], "PyTorch (the probe)"]
        assert row[2:] == [f"{total:,}", "0", "–", "equal"]
        for x in layers:
            assert [x["layer"], f"{x['compared']:,}", f"{x['rate']:.2%}", "0"] in [
                row[:4] for row in text.rows
            ]
    cost = numbers["cost"]
    for x in cost["layers"]:
        expected = [x["layer"], f"{x['neurons']:,}", f"{x['synapses']:,}"]
        (row,) = [row for row in text.rows if row[:3] == expected]
        assert row[4:7] == [
            f"{x['effective_acs']:,.0f}",
            f"{x['effective_macs']:,.0f}",
            f"{x['dense_macs']:,}",
        ]
    for key in ("graph_sha256", "probe_sha256"):
        assert numbers[key] in html
    words = " ".join("".join(text.words).split())
    assert f"{cost['total']['latency_steps']} steps" in words
    assert f"{cost['total']['cores']} cores of the 128" in words
    for x in cost["fit"]:
        bits = f"{x['weight_bits']}", f"{x['synapse_bits'] / 8192:,.1f}"
        assert [x["layer"], f"{x['neurons']:,}", *bits] in [row[:4] for row in text.rows]
    assert "All required comparisons are equal." in words
    assert "Modelled, not measured, and not Loihi's energy" in words


def test_what_the_integers_cost_in_the_outputs(tmp_path: Path):
    """A LIF and a LI behind weights that 8 bits cannot hold, counted again from both references."""
    n = np.ones(6)
    rng = np.random.default_rng(4)
    nodes: dict[str, nir.NIRNode] = {
        "x": nir.Input({"input": np.array([12])}),
        "w": nir.Linear(rng.normal(0.1, 0.4, (6, 12))),
        "fires": nir.LIF(7e-4 * n, 7 * n, 0 * n, n),
        "sends": nir.LI(7e-4 * n, 7 * n, 0 * n),
        "a": nir.Output({"output": np.array([6])}),
        "b": nir.Output({"output": np.array([6])}),
    }
    edges = [("x", "w"), ("w", "fires"), ("w", "sends"), ("fires", "a"), ("sends", "b")]
    nir.write(tmp_path / "g.nir", nir.NIRGraph(nodes, edges))
    x = (rng.random((20, 100, 12)) < 0.3).astype(float)
    np.savez(tmp_path / "p.npz", **{"g.in.x": x})  # type: ignore[arg-type]
    config = ReportConfig(tmp_path / "g.nir", tmp_path / "p.npz", backends=("reference_int",))
    with reading_here():
        found, _ = build(config)
    network = read_network(tmp_path / "g.nir")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, other = simulate(network, x), simulate(network, x, "reference_int")
    a, b = one.spikes["fires"].astype(bool), other.spikes["fires"].astype(bool)
    spiking, graded = found.losses
    assert (spiking.output, spiking.layer, spiking.error) == ("a", "fires", None)
    assert (spiking.float_rate, spiking.fixed_rate) == (a.mean(), b.mean())
    assert spiking.f1 is not None and spiking.f1 < 1
    assert spiking.f1 == 2 * (a & b).sum() / (a.sum() + b.sum())
    assert spiking.differing == (a != b).mean() > 0
    assert (graded.output, graded.f1, graded.fixed_rate) == ("b", None, None)
    v, w = one.membranes["sends"], other.membrane("sends")
    assert graded.error == pytest.approx(np.abs(v - w).max() / np.abs(v).max())
    assert graded.error is not None and 0 < graded.error < 0.01
    rows = Text(page(found, [])).rows
    assert ["a", "fires", f"{a.mean():.3%}", f"{b.mean():.3%}"] in [row[:4] for row in rows]


def test_the_numbers_are_those_of_the_files(made, files):
    numbers, _ = made
    network = read_network(files[0])
    with np.load(files[1]) as file:
        arrays = dict(file)
    for x, p in zip(numbers["layers"], network.populations, strict=True):
        spikes = arrays[f"audio.spikes.{p.name}"]
        assert x["rate"] == pytest.approx(spikes.mean())
        assert x["silent"] == sum(not spikes[:, :, n].any() for n in range(NEURONS))
        membrane = arrays[f"audio.membrane.{p.name}"]
        assert x["membrane"] == [membrane.min(), membrane.max()]
        weight = np.concatenate([s.weight.ravel() for s in p.synapses])
        assert x["weight"] == [weight.min(), weight.max()]
        assert x["stored"][0] < 0 < x["stored"][1] <= 254
        (fit,) = [fit for fit in numbers["cost"]["fit"] if fit["layer"] == p.name]
        largest = int(np.abs(weight[weight != 1]).max() * 64)  # 1: the threshold's column
        assert fit["weight_bits"] == largest.bit_length() + 1
        assert fit["synapse_bits"] == fit["weight_bits"] * weight.size
        assert 0 < x["state_peak"] < 1
    events, current = numbers["inputs"]
    assert (events["name"], events["grid"], events["saturated"]) == ("events", 1 / 16, 0)
    assert events["units"] == [0, arrays["audio.in.events"].max() * 16]
    assert current["active"] == (arrays["audio.in.threshold_current"] != 0).mean()
    total, layers = numbers["cost"]["total"], numbers["cost"]["layers"]
    assert total["effective_acs"] == sum(x["effective_acs"] for x in layers) > 0
    by_name = {b["backend"]: b for b in numbers["backends"]}
    assert by_name["reference_int"]["wrapped"] == by_name["reference_int"]["clipped"] == 0
    assert by_name["reference_float"]["wrapped"] is None


def test_the_page_needs_nothing_else(made):
    _, html = made
    text = Text(html)
    assert text.open == []
    assert len(text.sources) == 7 and all(s.startswith("data:image/svg") for s in text.sources)
    assert not set(text.tags) & {"script", "link", "iframe", "object", "embed"}
    for pattern in ("https?:", r"url\(", "@import", "file:"):
        assert not re.search(pattern, html), pattern
    for source in text.sources:
        svg = base64.b64decode(source.split(",", 1)[1]).decode()
        links = re.findall(r'href="([^"]*)"', svg)
        assert all(link.startswith(("#", "data:")) for link in links)
        assert "<metadata" not in svg


def test_the_same_files_give_the_same_page(made, files, tmp_path):
    again = tmp_path / "again.html"
    assert main([*map(str, files), "--out", str(again)]) == 0
    assert again.read_text() == made[1]


def test_the_first_divergence_is_marked(files, tmp_path, capsys):
    out = tmp_path / "r.html"
    words = [str(files[0]), str(flip(files[1], 2, 4, 7)), "--out", str(out)]
    assert main([*words, "--backends", "reference_int", "reference_float"]) == 1
    assert "reference_float: a spike or membrane differs that must not" in capsys.readouterr().out
    html = out.read_text()
    rows = Text(html).rows
    found = [row for row in rows if row[0] == "lif_1" and "sample 2, step 4, neuron 7" in row[-1]]
    assert len(found) == 2
    assert '<td class="left bad">sample 2, step 4, neuron 7' in html
    assert '<td class="left allowed">sample 2, step 4, neuron 7' in html
    assert [
        "reference_float",
        "PyTorch (the probe)",
        "1,728",
        "1",
        "–",
        "differs, must not",
    ] in rows
    assert ["reference_int", "PyTorch (the probe)", "1,728", "1", "–", "differs, may"] in rows
    assert "Failed: a required comparison differs in reference_float" in html
    # The figures show that sample, and say in which backend it differs.
    assert "Sample 2 of the probe" in html and "spikes of reference_int that differ" in html
    assert "neuron 7" in html


@pytest.mark.lava
def test_lava_is_compared_with_the_integer_reference(files, tmp_path):
    config = ReportConfig(*files, backends=("lava_fixed",), out=tmp_path / "r.html")
    found, _ = build(config)
    (b,) = found.backends
    assert b.runtime == "inline" and not b.failed
    assert [x.membranes_differing for x in b.must["reference_int"]] == [0, 0]


def test_a_name_is_text(tmp_path):
    name = 'motion_<b onclick="x">&amp;.nir'
    path, probe = export(tmp_path, name)
    found, _ = build(ReportConfig(path, probe, backends=("reference_float",), pathway="audio"))
    html = page(found, [Picture(b"", name, name)])
    assert "<b " not in html and "".join(Text(html).words).count(name) == 5


def test_a_graph_without_threshold_input_or_integers(tmp_path):
    """No threshold figure; the reason why there are no integers stands on the page."""
    rng = np.random.default_rng(1)
    whole = random_graph(rng, layers=1)
    nodes = {n: whole.nodes[n] for n in ("events", "affine_1", "spikes")}
    neurons = lif(NEURONS)
    neurons.v_threshold[:] = 1e9  # more than 17 bits
    nodes["lif_1"] = neurons
    edges = [("events", "affine_1"), ("affine_1", "lif_1"), ("lif_1", "spikes")]
    path, probe = export(tmp_path, graph=nir.NIRGraph(nodes, edges))
    found, material = build(ReportConfig(path, probe, backends=("reference_float",)))
    pictures = figures(found, material)
    assert "Threshold and its current" not in [p.title for p in pictures]
    assert found.no_integers and "threshold" in found.no_integers
    assert "No fixed-point form" in page(found, pictures)
    assert found.layers[0].stored is None and found.layers[0].state_peak is None


def test_the_threshold_comes_back_from_its_current():
    rng = np.random.default_rng(2)
    delta = rng.normal(size=(3, 8))
    before = np.concatenate([np.zeros((3, 1)), delta[:, :-1]], 1)
    np.testing.assert_allclose(offsets(0.75 * before - delta, 0.75), delta)


def test_nothing_half_written_stays(files, tmp_path, monkeypatch):
    out = tmp_path / "r.html"
    out.write_text("before")

    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hardware.result.os.replace", full)
    monkeypatch.setattr("hardware.reporting.figures.figures", lambda *_: [])  # seconds of drawing
    assert main([*map(str, files), "--out", str(out)]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"] and out.read_text() == "before"


def test_wrong_use_exits_2_with_one_line(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "compared", lambda *_: pytest.fail("work was done"))
    graph, probe = map(str, files)
    for words, named in (
        ([graph, probe, "--out", str(tmp_path)], "--out is"),
        ([graph, probe, "--out", str(tmp_path / "no" / "r.html")], "--out is"),
        ([graph, probe, "--json", str(tmp_path)], "--json is"),
        ([graph, probe, "--backends", "nest"], "reference_int"),
        ([graph, probe, "--runtime", "x"], "--runtime"),
        ([graph, probe, "--limit", "0"], "--limit is 0"),
        ([graph, probe, "--dt", "-1"], "--dt is -1"),
        ([graph, probe, "--pathway", "visual"], "'visual'"),
        ([graph, str(tmp_path / "no.npz")], "no.npz"),
        ([str(tmp_path / "motion_audio.nir"), probe], "motion_audio.nir"),
    ):
        out = [] if "--out" in words else ["--out", str(tmp_path / "r.html")]
        assert main([*words, *out]) == 2, words
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and error.startswith("error: ") and named in error, error
    assert list(tmp_path.iterdir()) == []
