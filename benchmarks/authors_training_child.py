"""Run a script of a checkout of the authors' code as it is, with ``authors_shims``.

Arguments: a JSON object, the script, and its arguments. The object has ``checkout``, the folder of
the script; ``model``, a file in place of its ``src/model_improvements.py``, or null; and
``threads``, the number of threads of torch. The script runs in the working folder of the process.
This file imports nothing else of this project, so that it can run in the authors' environment.
"""

from __future__ import annotations

import sys

import authors_shims as shims

sys.path.pop(0)  # this folder, whose profile.py would hide that of Python

import importlib.util
import json
import runpy
from pathlib import Path
from typing import Any

import torch


def replace_model(path):
    """Let ``src.model_improvements`` be the file of AVMST, and its model stand for AVCA's."""
    shims.old_spikingjelly()
    name = "src.model_improvements"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    module.AVCA = module.AVMST


def main():
    """Run the script as ``python SCRIPT ARGUMENTS`` in its checkout would."""
    settings, script, *arguments = sys.argv[1:]
    settings = json.loads(settings)
    torch.set_num_threads(settings["threads"])
    for shim in (
        shims.accept_verbose,
        shims.stay_on_the_cpu,
        shims.read_own_checkpoints,
        shims.load_in_this_process,
        shims.replace_unused,
    ):
        shim()
    sys.path.insert(0, settings["checkout"])
    if settings["model"]:
        replace_model(settings["model"])
    path = str(Path(settings["checkout"]) / script)
    sys.argv = [path, *arguments]
    runpy.run_path(path, run_name="__main__")


if __name__ == "__main__":
    main()
