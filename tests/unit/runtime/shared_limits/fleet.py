"""Several replicas on one plan in virtual time: real pacing, the real script in a real store, and a model of the rest.

A fleet looks like one `Pacing` to the model of the plan; an agent's requests all go to the same replica.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import redis

from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.records import Admitted, Attempt, Decision, PacedRequest, Queued, Refused
from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.quota.quota import Quota, QuotaRules
from extproc.domain.replicas.replica import Replica
from extproc.runtime.shared_wire import SCRIPT, decode, encode, keys
from tests.unit.domain.pacing.plan_model import EPOCH, Agent, Plan, World

_plans = itertools.count()


class Store:
    """The script in a real server, at virtual times, under a plan's name of its own."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.keys = keys(f"test-{next(_plans)}")
        self._script = client.register_script(SCRIPT)
        self.is_there = True

    def run(self, arguments: Sequence[str]) -> object:
        return self._script(keys=self.keys, args=arguments)


class Member:
    """A replica and what the transport does for it."""

    def __init__(self, name: str, config: PacingConfig, store: Store) -> None:
        self.name = name
        self.pacing = Pacing(config)
        self.quota = Quota(QuotaRules())
        self.replica = Replica(name, self.pacing, self.quota)
        self.due = 0.0
        self.is_alive = True
        self._store = store

    def sync(self, now: float) -> None:
        """One report, answered at once."""
        if not self._store.is_there:
            self.replica.lose(now)
            self.due = now + 1.0
            return
        answer = decode(self._store.run(encode(self.replica.report(now), now)))
        self.replica.take(answer, now, now)
        self.due = now + max(0.001, self.replica.pause())


class Fleet:
    """What the model of the plan asks instead of one pacing. `place` says which replica an agent's source goes to."""

    def __init__(self, members: Sequence[Member], place: Callable[[str], int]) -> None:
        self.members = members
        self._place = place
        self._of: dict[str, Member] = {}

    @property
    def limits(self) -> tuple[int, float]:
        return next(member for member in self.members if member.is_alive).pacing.limits

    def arrive(self, request: PacedRequest, now: float) -> Admitted | Queued | Refused:
        member = self._of[request.id] = self.members[self._place(request.source)]
        answer = member.pacing.arrive(request, now)
        member.due = now
        return answer

    def leave(self, request_id: str, now: float) -> None:
        member = self._of.pop(request_id)
        member.pacing.leave(request_id, now)
        member.due = now

    def retry(self, request_id: str, now: float) -> Admitted | Queued:
        member = self._of[request_id]
        member.due = now
        return member.pacing.retry(request_id, now) if member.is_alive else Admitted()

    def observe(self, attempt: Attempt, now: float) -> None:
        member = self._of.get(attempt.id, self.members[0])
        member.pacing.observe(attempt, now)
        member.due = now

    def serves(self, asked: str, model: str, now: float) -> None:
        """Each replica has seen an answer that names its model."""
        for member in self.members:
            member.pacing.serves(asked, model, now)
            member.due = now

    def sync(self, now: float) -> None:
        """Every replica that has to report does."""
        for member in self.members:
            if member.is_alive and member.due <= now + 1e-6:
                member.sync(now)

    def due(self, now: float) -> list[Decision]:
        self.sync(now)
        return [each for member in self.members if member.is_alive for each in member.pacing.due(now)]

    def next_due(self, now: float) -> float | None:
        self.sync(now)
        times = [member.due for member in self.members if member.is_alive]
        times += [at for member in self.members if member.is_alive and (at := member.pacing.next_due(now)) is not None]
        return min(times, default=math.inf)


class FleetWorld(World):
    """The model of the plan with replicas instead of one proxy."""

    def __init__(self, plan: Plan, fleet: Fleet, seed: int, horizon: float) -> None:
        super().__init__(plan, fleet, seed, horizon)  # type: ignore[arg-type]  # it asks nothing else of a pacing
        self.fleet = fleet
        self.at(0.0, self._beat)

    def kill(self, number: int) -> None:
        """A replica dies with everything that waits there; what runs upstream ends as it would.

        Nobody keeps what waits to be sent again from going.
        """
        member = self.fleet.members[number]
        member.is_alive = False
        for each in [each for each in self._waiting_again if self.fleet._of[each] is member]:
            self._send(self._waiting_again.pop(each))
        self._waiting = {each: waiting for each, waiting in self._waiting.items() if self.fleet._of[each] is not member}

    def _beat(self) -> None:
        """Replicas report also while nothing happens."""
        self.fleet.sync(EPOCH + self.now)
        self.at(self.now + 0.2, self._beat)


def fleet_of(store: Store, replicas: int, place: Callable[[str], int] | None = None, **settings: float) -> Fleet:
    """Replicas with room for everybody, a time-out that never comes, and a rate that is not in the way."""
    values = {"max_workers": 100, "queue_timeout": 1e6, "rate_initial": 50.0, "replicas": replicas, **settings}
    config = PacingConfig(**values)  # type: ignore[arg-type]  # the whole numbers among them are whole
    members = [Member(f"replica-{number}", config, store) for number in range(replicas)]
    return Fleet(members, place or (lambda source: int(source.rpartition("-")[2]) % replicas))


__all__ = ["EPOCH", "Agent", "Fleet", "FleetWorld", "Member", "Plan", "Store", "fleet_of"]
