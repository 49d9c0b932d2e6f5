"""Whole trainings of the authors' code: their scripts, from checkouts of a few lines."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.authors import Options, main
from mdft.data.export import FEATURES, WITH_EVENTS, export
from mdft.errors import UserError
from tests.mdft.small import random_clips

ROOT = Path(__file__).resolve().parents[2]
#: A line for each stage with these features, and for each with others.
SCRIPT = """#First stage
python main.py --root_dir x --feature_extraction_method main_features --epochs 50 --n_batches 500 \
 --seed 1 --AVCA --exp_name a
python main.py --root_dir x --feature_extraction_method cls_features --epochs 50 --AVCA --exp_name b

python main.py --root_dir x --feature_extraction_method main_features --epochs 50 --n_batches 500 \
 --seed 1 --AVCA --retrain_all --exp_name c
python main.py --root_dir x --feature_extraction_method cls_features --retrain_all --exp_name d
"""
#: Their script: what it trains on, and what it takes from libraries that have changed.
AVCA = """
import argparse
import ptflops
import torch
from pathlib import Path
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader
from src.model_improvements import AVCA

parser = argparse.ArgumentParser()
for name in ("root_dir", "feature_extraction_method", "dataset_name", "exp_name", "device"):
    parser.add_argument("--" + name)
for name in ("epochs", "n_batches", "seed", "input_size_audio", "input_size_video"):
    parser.add_argument("--" + name, type=int)
parser.add_argument("--dump_path", type=Path)
parser.add_argument("--AVCA", action="store_true")
parser.add_argument("--retrain_all", action="store_true")
args = parser.parse_args()
assert args.AVCA and args.device == "cpu" and args.dataset_name == "UCF"
assert __file__.endswith("main.py")

files = Path(args.root_dir) / "features" / args.feature_extraction_method / "video/stage_1_train"
assert len(list(files.glob("*.h5"))) > 1
model = AVCA(args.input_size_video)
optimizer = torch.optim.Adam(model.parameters())
ReduceLROnPlateau(optimizer, "max", patience=3, verbose=True).step(0.5)
(batch,) = DataLoader(torch.ones(2, args.input_size_video), batch_size=2, num_workers=8)
assert model(batch.cuda()).shape == (2, 1)
for epoch in range(args.epochs):
    last = args.n_batches * (epoch + 1) - 1
    print(f"TRAIN\\tEpoch: {epoch}/{args.epochs}\\tIteration: {last}\\tLoss: 1.0")
folder = args.dump_path / "runs" / args.exp_name
folder.mkdir(parents=True)
torch.save({"seed": args.seed, "again": args.retrain_all, "path": folder}, folder / "score.pt")
"""
EVALUATION = """
import sys
import torch
from pathlib import Path

values = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert values["--dataset_name"] == "UCF" and sys.argv[-3:] == ["--AVCA", "--device", "cpu"]
first, second = (torch.load(Path(values[f"--load_path_stage_{s}"]) / "score.pt") for s in "AB")
assert not first["again"] and second["again"] and first["seed"] == second["seed"]
print("Load from epoch: 2")
print("Load from epoch: 2")
u = 10 + first["seed"]
scores = f"Seen performance=40.00, Unseen performance={u}.25, GZSL performance=20.50"
print(f"{scores}, ZSL performance=7.00 ")
"""
MODEL = """
from torch import nn


class {name}(nn.Linear):
    def __init__(self, width):
        super().__init__(width, 1)
        print("model of {name}")
"""
TCAF = """
import sys
from pathlib import Path

values = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert Path("config/default.yaml").exists() and Path(values["--cfg"]).exists()
files = Path(values["--root_dir"]) / "features" / values["--feature_extraction_method"] / "audio"
assert (files / "stage_2_test_seen").is_dir() and values["--input_size_video"] == "32"
for stage, epochs in enumerate((3, 1)):
    for epoch in range(epochs):
        print(f"TRAIN\\tEpoch: {epoch}/{epochs}\\tIteration: {7 * (epoch + 1) - 1}\\tLoss: 1.0")
print("Load from epoch: 1")
scores = f"Seen performance={values['--seed']}.00, Unseen performance=2.00, GZSL performance=1.33"
print(f"{scores}, ZSL performance=4.00 ")
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def avca(tmp_path: Path) -> Path:
    files = {
        "main.py": AVCA,
        "get_evaluation.py": EVALUATION,
        "run_scripts/UCF-GZSL/avca.sh": SCRIPT,
        "src/__init__.py": "",
        "src/model_improvements.py": MODEL.format(name="AVCA"),
    }
    return write(tmp_path / "avca", files)


@pytest.fixture
def averages(tmp_path: Path) -> Path:
    export(random_clips(), tmp_path / "averages", "avca", fps=16)
    return tmp_path / "averages"


@pytest.mark.subprocess
def test_both_stages_and_the_test_run_with_published_flags_but_for_the_given_ones(
    tmp_path: Path, avca: Path, averages: Path, capsys: pytest.CaptureFixture[str]
):
    work, out = tmp_path / "work", tmp_path / "out.json"
    wide, seeds = WITH_EVENTS["avca"], (3,)
    (result,) = main(Options("avca", avca, averages, wide, None, seeds, 4, work=work, out=out))
    assert (result.system, result.features, result.seed) == ("avca", wide, 3)
    scores = result.seen, result.unseen, result.hm, result.zsl
    assert scores == pytest.approx((0.4, 0.1325, 0.205, 0.07))
    assert (result.epoch, result.batches) == (2, 500)
    assert (result.steps, result.scored) == ((2000, 2000), 1000)
    assert result.seconds > 0
    assert (work / "seed_3.log").read_text().count("model of AVCA") == 2
    assert "seed 3: S 40.00%, U 13.25%, HM 20.50%, ZSL 7.00%" in capsys.readouterr().out
    assert not list(avca.rglob("runs"))  # their files are in the working folder


@pytest.mark.subprocess
def test_the_model_of_avmst_runs_in_the_trainer_of_avca(tmp_path: Path, avca: Path, averages: Path):
    files = {"src/model_improvements.py": MODEL.format(name="AVMST")}
    avmst = write(tmp_path / "avmst", files)
    with pytest.raises(UserError, match="--trainer is missing"):
        main(Options("avmst", avmst, averages))
    with pytest.raises(UserError, match="expected equal widths"):
        main(Options("avmst", avmst, averages, WITH_EVENTS["avca"], trainer=avca))
    work, out = tmp_path / "work", tmp_path / "out.json"
    options = Options("avmst", avmst, averages, None, avca, (0,), 2, 3, work=work, out=out)
    (result,) = main(options)
    assert (result.system, result.features) == ("avmst", FEATURES["avca"])
    assert (result.steps, result.scored) == ((6, 6), 6)
    assert (work / "seed_0.log").read_text().count("model of AVMST") == 2


@pytest.mark.subprocess
def test_tcaf_runs_by_its_own_script_once_for_each_seed(tmp_path: Path):
    files = {
        "main.py": TCAF,
        "src/model_sequence.py": "",
        "config/default.yaml": "",
        "config/best/best_main/best_ucf.yaml": "",
    }
    tcaf = write(tmp_path / "tcaf", files)
    export(random_clips(ragged=True), tmp_path / "seconds", "tcaf", fps=16)
    out = tmp_path / "out.json"
    results = main(Options("tcaf", tcaf, tmp_path / "seconds", seeds=(5, 6), out=out))
    assert [r.seed for r in results] == [5, 6]
    assert [r.seen for r in results] == pytest.approx([0.05, 0.06])
    assert results[0].hm == pytest.approx(0.0133) and results[0].zsl == pytest.approx(0.04)
    assert (results[0].steps, results[0].scored, results[0].batches) == ((21, 7), 7, 7)
    assert json.loads(out.read_text()) == [{**vars(r), "steps": list(r.steps)} for r in results]


@pytest.mark.subprocess
def test_what_does_not_run_is_one_line_with_the_reason(tmp_path: Path, avca: Path, averages: Path):
    with pytest.raises(UserError, match=r"no main.py there, expected a checkout of .*TCAF-GZSL"):
        write(tmp_path / "empty", {"src/model_sequence.py": ""})
        main(Options("tcaf", tmp_path / "empty", averages))
    with pytest.raises(UserError, match="nothing/audio/stage_1_train: no features there"):
        main(Options("avca", avca, averages, "nothing"))
    (avca / "src/model_improvements.py").write_text("import no_such_library\n")
    command = [sys.executable, "-m", "benchmarks.authors", "avca", str(avca), str(averages)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "main.py does not run" in done.stderr and "no_such_library" in done.stderr
    assert "--python" in done.stderr
