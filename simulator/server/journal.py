"""What the simulator did: one entry a request, in a bounded ring, and totals. Holds no secret."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.api.turn import Usage
from simulator.plan.keys import Credentials

MAX_ENTRIES = 20_000
_MAX_COUNTED_REQUESTS = 100_000


@dataclass(slots=True)
class Entry:
    """One request. Times: `*_wall` is Unix time, `*_monotonic` the event loop's clock, both in seconds.

    `response_bytes` and `response_sha256` are of the body as it was sent: after content-encoding, before chunking.
    `usage_sent` is what the answer reported; `generated` what the model had really produced when it ended. A body that
    was `played` has neither. `served_by`: the model whose place it took or found taken, whatever the answer says.
    `aborted`: the client left; with `left_after_final` it had got the final event.
    """

    id: int
    request_id: str | None
    attempt: int
    method: str
    path: str
    headers: Mapping[str, str]
    credentials: Credentials
    in_flight_at_arrival: int
    started_monotonic: float
    started_wall: float
    surface: str | None = None
    log_id: str | None = None
    model: str | None = None
    served_by: str | None = None
    status: int | None = None
    code: str | None = None
    fault: str | None = None
    scenario_from: str = "default"
    stream: bool = False
    played: bool = False
    request_bytes: int = 0
    request_sha256: str = ""
    response_bytes: int = 0
    response_sha256: str = ""
    events_sent: int = 0
    usage_sent: Usage | None = None
    generated: Usage | None = None
    credits: float = 0.0
    key_in_body: bool = False
    aborted: bool = False
    left_after_final: bool = False
    first_byte_monotonic: float | None = None
    ended_monotonic: float | None = None
    ended_wall: float | None = None

    def as_json(self) -> dict[str, object]:
        names = [name for name in self.__slots__ if name not in ("credentials", "usage_sent", "generated")]
        body: dict[str, object] = {name: getattr(self, name) for name in names}
        body["credentials"] = self.credentials.as_json()
        body["authorization_form"] = self.credentials.form
        body["key_seen_in"] = list(self.credentials.key_seen_in)
        body["usage_sent"] = None if self.usage_sent is None else usage_json(self.usage_sent)
        body["generated"] = None if self.generated is None else usage_json(self.generated)
        return body


def usage_json(usage: Usage) -> dict[str, int]:
    """Disjoint token counts; `reasoning` is a part of `output`."""
    return {
        "input": usage.input,
        "cached": usage.cached,
        "cache_creation": usage.cache_creation,
        "output": usage.output,
        "reasoning": usage.reasoning,
    }


@dataclass(slots=True)
class Totals:
    """Counts since the start or the last clearing."""

    requests: int = 0
    finished: int = 0
    aborted: int = 0
    max_in_flight: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    tokens_sent: dict[str, int] = field(default_factory=dict)


class Journal:
    """Entries in the order of arrival, the oldest forgotten beyond `max_entries`."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._entries: deque[Entry] = deque(maxlen=max_entries)
        self._attempts: OrderedDict[str, int] = OrderedDict()
        self._last_id = 0
        self._in_flight = 0
        self._totals = Totals()

    @property
    def in_flight(self) -> int:
        """Requests that have arrived and are not answered to the end."""
        return self._in_flight

    def next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def attempt_of(self, request_id: str) -> int:
        """Counts one more attempt for this id, and says which it is (1 for the first)."""
        attempt = self._attempts.pop(request_id, 0) + 1
        self._attempts[request_id] = attempt
        if len(self._attempts) > _MAX_COUNTED_REQUESTS:
            self._attempts.popitem(last=False)
        return attempt

    def begin(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._in_flight += 1
        totals = self._totals
        totals.requests += 1
        totals.max_in_flight = max(totals.max_in_flight, self._in_flight)

    def end(self, entry: Entry, *, monotonic: float, wall: float) -> None:
        entry.ended_monotonic = monotonic
        entry.ended_wall = wall
        self._in_flight -= 1
        self._add(entry)

    def _add(self, entry: Entry) -> None:
        totals = self._totals
        totals.finished += 1
        totals.aborted += entry.aborted
        totals.request_bytes += entry.request_bytes
        totals.response_bytes += entry.response_bytes
        status = str(entry.status) if entry.status is not None else "none"
        totals.by_status[status] = totals.by_status.get(status, 0) + 1
        if entry.usage_sent is not None:
            for name, count in usage_json(entry.usage_sent).items():
                totals.tokens_sent[name] = totals.tokens_sent.get(name, 0) + count

    def since(self, entry_id: int) -> list[Entry]:
        """The entries with an id above `entry_id`, oldest first."""
        return [entry for entry in self._entries if entry.id > entry_id]

    def clear(self) -> None:
        """Forgets entries, attempts and totals; ids go on, and what runs still counts as in flight."""
        self._entries.clear()
        self._attempts.clear()
        self._totals = Totals(max_in_flight=self._in_flight)

    def stats(self) -> dict[str, object]:
        totals = self._totals
        return {
            "in_flight": self._in_flight,
            "max_in_flight": totals.max_in_flight,
            "requests": totals.requests,
            "finished": totals.finished,
            "aborted": totals.aborted,
            "request_bytes": totals.request_bytes,
            "response_bytes": totals.response_bytes,
            "by_status": dict(totals.by_status),
            "tokens_sent": dict(totals.tokens_sent),
        }
