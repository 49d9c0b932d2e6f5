"""``python -m mdft.seeds [RECIPE]``: one recipe over several seeds, mean ± deviation."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mdft import reproducible
from mdft.baselines.build import check_used
from mdft.errors import run_main
from mdft.experiments.spread import rate_table, spread_table
from mdft.experiments.sweep import Row, SweepCommand, plan, report_failures, sweep, write_summary
from mdft.recipes import RECIPES
from mdft.train import config_of, parse


@dataclass(frozen=True)
class Command(SweepCommand):
    """Train and test a recipe over seeds; call it again to resume. Takes all flags of mdft.train.

    Writes OUT/RECIPE/seedK, a run's folder for each seed, and OUT/RECIPE/summary.json.
    """

    out: Path = Path("runs")
    """Folder of the runs."""


def main() -> int:
    """The command line; 0 when every run is finished, 1 when one failed."""
    recipe, command = parse(sys.argv[1:], Command, "mdft.seeds")
    if command.compute.reproducible:
        reproducible.restart()
    config = config_of(command)
    check_used(config, RECIPES[recipe]())
    jobs = plan([Row(recipe, config)], command.seeds, command.out)
    outcome = sweep(jobs, command.out, at_once=command.jobs, console=Console(stderr=True))
    results = outcome.results[recipe]
    if results:
        write_summary(command.out / recipe, results)
        console = Console()
        console.print(spread_table({recipe: results}, "Zero-shot test"), "")
        if results[0].firing_rates:
            console.print(rate_table(results), "")
        console.print(f"runs  {command.out / recipe}")
    return report_failures(outcome)


if __name__ == "__main__":
    run_main(main)
