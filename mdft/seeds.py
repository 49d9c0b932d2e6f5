"""``python -m mdft.seeds [RECIPE]``: train a recipe with several seeds; report mean ± deviation."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from mdft.cli import run_main
from mdft.config.recipes import RECIPES
from mdft.training.command_line import SweepCommand, config_of, parse


@dataclass(frozen=True)
class Command(SweepCommand):
    """Train and test a recipe with several seeds.

    Writes one run folder OUT/RECIPE/seedK per seed, and OUT/RECIPE/summary.json. Repeat the
    command to resume it. Accepts the flags of mdft.train.
    """

    out: Path = Path("runs")
    """Folder that the runs are written to."""


def main() -> int:
    """Run the command; return 0 if every run is finished, 1 if one failed."""
    recipe, command = parse(sys.argv[1:], Command, "mdft.seeds")
    # Imported here: --help and a mistyped flag need no torch.
    from rich.console import Console

    from mdft.experiments.spread import rate_table, spread_table
    from mdft.experiments.sweep import Row, plan, report_failures, sweep, write_summary
    from mdft.systems.build import check_used

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
        console.print(f"runs  {command.out / recipe}", markup=False)
    return report_failures(outcome)


if __name__ == "__main__":
    run_main(main)
