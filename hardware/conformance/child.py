"""The process in which a reader runs; it needs nothing of ours, only numpy and the adapter.

`python child.py ADAPTER.py OPTION` imports the adapter and prints `{"ready": versions}`. Then each
line on stdin is a job `{"graph": path, "inputs": path of an .npz, "dt": seconds, "out": path}`; it
is answered by `{}`, with the outputs in `out`, or by `{"error": …}`.
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import warnings

import numpy as np


def _load(path):
    spec = importlib.util.spec_from_file_location("adapter", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _line(error):
    text = " ".join(str(error).strip().splitlines()[:1]) or "(no message)"
    return f"{type(error).__name__}: {text}"[:300]


def main(path, option):
    """Serve jobs until stdin ends."""
    # What a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    warnings.simplefilter("ignore")
    adapter = _load(path)
    adapter.prepare()
    found = {}
    for name in adapter.PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    say({"ready": {"python": sys.version.split()[0], **found}})
    for text in sys.stdin:
        job = json.loads(text)
        try:
            with np.load(job["inputs"]) as file:
                inputs = dict(file)
            outputs = adapter.run(job["graph"], inputs, job["dt"], option)
            arrays: dict = {k: np.asarray(v, np.float64) for k, v in outputs.items()}
            np.savez(job["out"], **arrays)
            say({})
        except Exception as error:  # whatever a reader raises is its refusal
            say({"error": _line(error)})


if __name__ == "__main__":
    main(*sys.argv[1:3])
