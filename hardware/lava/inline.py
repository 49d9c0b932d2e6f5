"""Run Lava in one OS process: its compiler and process models, with queues as channels."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hardware.lava.build import LavaNetwork, align, build
from hardware.lava.plan import Plan


class QueuePort:
    """One end of a channel: the interface of a CSP port that Lava's ports need."""

    def __init__(self, name: str, shape: tuple[int, ...], d_type: Any, queue: deque) -> None:
        self.name, self.shape, self.d_type, self.queue = name, shape, d_type, queue

    def send(self, data: np.ndarray) -> None:
        """Add a copy of a vector, cast to the channel's type as in Lava's shared memory."""
        if data.shape != self.shape:
            raise AssertionError(f"{self.name}: sent {data.shape}, channel is {self.shape}")
        self.queue.append(np.array(data).astype(self.d_type))

    def recv(self) -> np.ndarray:
        """Return the oldest vector; an empty queue means that the order of the models is wrong."""
        return self.queue.popleft()

    def probe(self) -> bool:
        """Return whether the queue holds a vector."""
        return bool(self.queue)


def run_inline(
    plan: Plan, build: Callable[[Plan], LavaNetwork] = build
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Run a plan.

    Each step calls `run_spk` of every model in topological order; Lava's runtime does so in
    parallel.

    Args:
        plan: the plan to run.
        build: the function that makes the processes, `hardware.lava.build.build` or netx's.

    Returns:
        Spikes uint8 and membranes before the reset, (B, S, N), by population.
    """
    with _forgotten():
        net = build(plan)
        models = _compile(plan, net)
    order = [models[process] for process in net.order]
    lifs = {name: models[process] for name, process in net.lifs.items()}
    spikes: dict[str, np.ndarray] = {}
    membranes: dict[str, np.ndarray] = {}
    latest: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for lif in plan.lifs:
        model = lifs[lif.name]
        spikes[lif.name] = np.empty((plan.total, len(lif.bias)), np.uint8)
        membranes[lif.name] = np.empty((plan.total, len(lif.bias)), model.v.dtype)
        model.reset_voltage = _watch(model, lif.name, latest)
    connections: list[tuple[Any, Any]] = []
    if plan.recurrent:
        order, connections = _apart(order)
    if plan.apart:
        for lif in plan.lifs:
            lifs[lif.name].s_out = _Later(lifs[lif.name], 1 + lif.depth)
    for step in range(plan.total):
        for model, port in connections:
            port.send(model.a_buff)
        for model in order:
            model.time_step = step + 1
            model.run_spk()
        for name, (spike, membrane) in latest.items():
            spikes[name][step], membranes[name][step] = spike, membrane
    depth = {lif.name: lif.depth for lif in plan.lifs}
    return tuple(
        {n: align(rows, plan, depth[n]) for n, rows in found.items()}
        for found in (spikes, membranes)
    )  # type: ignore[return-value]


@contextlib.contextmanager
def _forgotten() -> Iterator[None]:
    """Release the objects made inside: Lava keeps a list of all processes and variables for ever.

    Each process also adds a handler to Python's root logger, and each compiler one to its own.
    """
    from lava.magma.compiler import compiler
    from lava.magma.core.process.process import ProcessServer
    from lava.magma.core.process.variable import VarServer

    lists: list[list] = [ProcessServer().processes, VarServer().vars]
    lists += [logging.getLogger().handlers, logging.getLogger(compiler.__name__).handlers]
    lengths = [len(listed) for listed in lists]
    try:
        yield
    finally:
        for listed, length in zip(lists, lengths, strict=True):
            del listed[length:]


class _Later:
    """A neuron's port that sends zeros before the first step of the sample.

    Before its input arrives, a bias may make a neuron spike; its state is reset then, but a spike
    that is delayed would arrive in the sample.
    """

    def __init__(self, model: Any, first: int) -> None:
        self.model, self.port, self.first = model, model.s_out, first

    def send(self, data: np.ndarray) -> None:
        """Send the data, or zeros in an earlier step."""
        self.port.send(data if self.model.time_step >= self.first else np.zeros_like(data))


class _Nothing:
    """A port that sends nothing."""

    def send(self, data: np.ndarray) -> None:
        """Send nothing."""


def _apart(order: list[Any]) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """Return the models, connections last, and the connections with the ports they send to.

    In a step, a Dense or Sparse first sends the product of the step before and then waits for
    spikes. In a cycle no order of whole models works: here all of them send first, and receive
    when all neurons have run.
    """
    connections = [model for model in order if hasattr(model, "a_buff")]
    found = [(model, model.a_out) for model in connections]
    for model in connections:
        model.a_out = _Nothing()
    return [m for m in order if not hasattr(m, "a_buff")] + connections, found


def _watch(model: Any, name: str, latest: dict[str, tuple]) -> Any:
    """Wrap the model's reset so that it first records the spikes and the membrane."""
    reset = model.reset_voltage

    def reset_voltage(spike_vector: np.ndarray) -> None:
        latest[name] = spike_vector.copy(), model.v.copy()
        reset(spike_vector=spike_vector)

    return reset_voltage


def _compile(plan: Plan, net: LavaNetwork) -> dict[Any, Any]:
    """Call Lava's compiler and its builders, with queues in place of shared memory."""
    from lava.magma.compiler.compiler import Compiler
    from lava.magma.core.process.ports.ports import create_port_id
    from lava.magma.core.run_configs import Loihi2SimCfg

    config = Loihi2SimCfg(select_tag=plan.tag, exception_proc_model_map=dict(net.models))
    executable = Compiler().compile(net.order[0], config)
    builders = executable.proc_builders
    for channel in executable.channel_builders:
        queue: deque = deque()
        source, target = channel.src_port_initializer, channel.dst_port_initializer
        send = QueuePort(source.name, source.shape, source.d_type, queue)
        receive = QueuePort(target.name, source.shape, source.d_type, queue)
        builders[channel.src_process].set_csp_ports([send])
        builders[channel.dst_process].set_csp_ports([receive])
        port_id = create_port_id(channel.src_process.id, source.name)
        builders[channel.dst_process].add_csp_port_mapping(port_id, receive)
    return {process: builder.build() for process, builder in builders.items()}
