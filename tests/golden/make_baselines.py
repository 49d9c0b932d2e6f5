"""``python -m tests.golden.make_baselines``: write the loss curves that the tests compare with.

Run it when a system's loss is meant to change, and look at the difference before committing it.
"""

import json
from pathlib import Path

from tests.mdft.small_baselines import SYSTEMS, golden_curve

if __name__ == "__main__":
    curves = {name: golden_curve(name) for name in SYSTEMS}
    path = Path(__file__).with_name("baselines.json")
    path.write_text(json.dumps(curves, indent=1) + "\n")
