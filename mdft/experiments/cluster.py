"""Run the jobs of a sweep on a dask cluster.

The tasks are submitted to the cluster one by one, not through joblib's dask backend, which returns
nothing before all of them are done.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import cast

from events.folder import cluster
from mdft.errors import UserError
from mdft.experiments.screen import SweepScreen
from mdft.experiments.worker import LOG, Job, one_line, train
from mdft.runs.folder import read_results


def run_on_cluster(jobs: Sequence[Job], address: str, screen: SweepScreen) -> list[str]:
    """Run jobs on the workers of a dask cluster, which must see the same folders by these names.

    A run whose worker dies is given to another one, which resumes it.

    Args:
        jobs: the unfinished jobs.
        address: HOST:PORT of the scheduler.
        screen: display, which is told of each run that has ended.

    Returns:
        One line for each run that failed.

    Raises:
        UserError: there is no such cluster, or a worker has several threads.
    """
    failures: list[str] = []
    with cluster(address) as client:
        from distributed import as_completed

        workers = cast(dict[str, int], client.nthreads())  # a coroutine only in async clients
        for worker, threads in workers.items():
            if threads != 1:
                raise UserError(
                    f"--engine: the worker {worker} of the dask cluster has {threads} threads, "
                    "expected 1, since runs in one process would share torch's random numbers; "
                    "start its workers with --nthreads 1"
                )
        futures = {client.submit(attempt, job, pure=False): job for job in jobs}
        for job in jobs:
            screen.started(job)
        for future in as_completed(futures):
            job = futures[future]
            ended = future.status == "finished"
            error = future.result() if ended else one_line(future.exception())
            if error is None:
                screen.finished(job, read_results(job.folder))
            else:
                failures.append(f"{job}: {error} (full log: {job.folder / LOG})")
                screen.failed(job, error)
    return failures


def attempt(job: Job) -> str | None:
    """Train and test in a worker of the cluster; an error is returned in one line, not raised."""
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        train(job, lambda record: None)
    except Exception as error:
        with (job.folder / LOG).open("a") as log:
            traceback.print_exc(file=log)
        return one_line(error)
    return None
