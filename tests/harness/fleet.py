"""Several whole proxies, each a processor and an Envoy of its own, on one simulated plan and one store."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.harness.processes import make_key
from tests.harness.stack import Simulator, Stack
from tests.harness.valkey import Valkey
from tests.harness.waiting import wait_until


class Fleet:
    """The parts. `stacks` are alike but for their ports."""

    def __init__(self, valkey: Valkey, simulator: Simulator, stacks: list[Stack]) -> None:
        self.valkey = valkey
        self.simulator = simulator
        self.stacks = stacks

    def wait_until_shared(self, within: float = 60.0) -> None:
        """Returns once every proxy that runs knows of all of them."""
        wait_until(lambda: all(map(self._is_shared, self.stacks)), "the limits are shared", within)

    def mend(self) -> None:
        """Starts again what was killed, and returns once all share."""
        if not self.valkey.process.is_running:
            self.valkey.restart()
        for stack in self.stacks:
            stack.mend()
        self.wait_until_shared()

    def _is_shared(self, stack: Stack) -> bool:
        shared = stack.status()["shared_limits"]
        return bool(shared["up"]) and shared["replicas"] == len(self.stacks)


@contextmanager
def running_fleet(directory: Path, replicas: int, *simulator_options: str, **settings: str) -> Iterator[Fleet]:
    """A fleet whose proxies share their limits already; it ends with the block. Each has a copy of `STATE_DIR`."""
    key = make_key()
    with ExitStack() as cleanup:
        valkey = Valkey(directory)
        cleanup.callback(lambda: valkey.process.kill())
        simulator = Simulator(directory, key, *simulator_options)
        cleanup.callback(simulator.process.kill)
        stacks = []
        for number in range(replicas):
            own = directory / f"replica-{number}"
            own.mkdir()
            of_its_own = {**settings, "LIMITS_URL": valkey.url, "REPLICAS": str(replicas)}
            if "STATE_DIR" in settings:
                of_its_own["STATE_DIR"] = str(shutil.copytree(settings["STATE_DIR"], own / "state"))
            stack = Stack(own, simulator, key, **of_its_own)
            cleanup.callback(stack.stop)
            stacks.append(stack)
        fleet = Fleet(valkey, simulator, stacks)
        fleet.wait_until_shared()
        yield fleet
