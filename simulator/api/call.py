"""A call that was let in, and the reply to it before any fault: what the builders of answers take and give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from simulator.api.chat import compact
from simulator.api.endpoints import Endpoint
from simulator.api.fields import BadRequestError
from simulator.api.files import FileStore
from simulator.api.sse import DONE, Frame
from simulator.api.turn import Turn, Usage
from simulator.plan.limits import WindowState
from simulator.plan.monitor import ModelUse
from simulator.plan.prefix_cache import PrefixCache
from simulator.scenario.model import Scenario

JSON = "application/json; charset=utf-8"
EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Call:
    """A request with all that its answer may depend on.

    `now` is a Unix time, `body` the parsed JSON, None if it is not JSON. Only callers of the same `account` find each
    other's prompts in `prefix_cache`, which is None if there is no cache.
    """

    endpoint: Endpoint
    scenario: Scenario
    log_id: str
    now: float
    raw: bytes
    body: object
    content_type: str
    accept: str
    windows: Sequence[WindowState]
    plan_level: str
    model_use: Mapping[str, ModelUse]
    files: FileStore
    account: str
    prefix_cache: PrefixCache | None

    @property
    def created(self) -> int:
        return int(self.now)

    @property
    def size(self) -> int:
        return len(self.raw)

    @property
    def fields(self) -> Mapping[str, object]:
        """The JSON object in the body. Raises BadRequestError when it is none."""
        if not isinstance(self.body, dict):
            raise BadRequestError("1210", "body")
        return self.body


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before any fault: a `body`, or `frames` of which `total` have content.

    `error` is what the fault error_event sends. With `is_played` the body is the scenario's own. `usage` is for answers
    that report tokens but have no `turn`.
    """

    body: bytes = b""
    frames: Iterator[Frame] | None = None
    status: int = 200
    content_type: str = JSON
    turn: Turn | None = None
    usage: Usage | None = None
    total: int = 0
    model: str | None = None
    code: str | None = None
    error: Frame = DONE
    headers: Sequence[tuple[str, str]] = field(default_factory=tuple)
    is_played: bool = False

    @property
    def is_stream(self) -> bool:
        return self.frames is not None or (self.is_played and self.content_type.startswith("text/event-stream"))


def json_reply(value: object, *, model: str | None = None, usage: Usage | None = None) -> Reply:
    """A JSON answer in OpenAI's compact spelling."""
    return Reply(body=compact(value).encode(), model=model, usage=usage)


def turn_reply(value: object, turn: Turn) -> Reply:
    """The JSON answer of a model."""
    return Reply(body=compact(value).encode(), turn=turn, model=turn.model, total=turn.pieces)
