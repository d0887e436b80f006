"""What goes on at this moment: the answer of /api/now, and the event `now`."""

from enum import StrEnum

from pydantic import Field

from dashboard.records.alerts import Alert
from dashboard.records.base import MaybeTime, Record, Time
from dashboard.records.cache import Cache


class Level(StrEnum):
    """The answer to "is it working?"."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class TargetHealth(StrEnum):
    """Whether a target answers."""

    NEW = "new"  # has never answered, and was not asked often yet
    UP = "up"
    LATE = "late"  # missed one or two
    STALE = "stale"  # missed three or more


class Origin(StrEnum):
    """Whose error it is."""

    ZAI = "zai"  # an answer of Z.AI
    WAY = "way"  # on the way between
    PROXY = "proxy"  # a refusal of the proxy


class Health(Record):
    """The answer to "is it working?" in a line."""

    level: Level
    headline: str
    since: MaybeTime


class Workers(Record):
    """Places over all proxies that answer; null where none of them says."""

    busy: int | None
    limit: int | None = Field(description="What the plan allows now")
    wall: int | None = Field(description="MAX_WORKERS")
    draining: bool


class Identity(Record):
    """What an unfinished request is and who sent it."""

    id: str = Field(description="The id by which it can be ended")
    target: int
    request_id: str | None
    method: str | None
    path: str | None
    client: str | None
    program: str | None = Field(description="What its user agent is known as")
    session: str | None
    agent: str | None
    lane: str | None
    model: str | None = Field(description="What answers, or has answered this name before")
    model_asked: str | None = Field(description="What it asks for")


class Running(Identity):
    """A request that Z.AI works on."""

    age: float
    silent: float | None = Field(description="Seconds since its answer last grew")
    request_bytes: int | None
    response_bytes: int | None
    tokens_estimated: int | None


class Waiting(Identity):
    """A request that waits for a place."""

    waited: float


class Lane(Record):
    """How many of a lane run and wait."""

    lane: str
    running: int
    waiting: int
    longest_wait: float | None


class Move(Record):
    """A change of a learned limit in words."""

    at: Time
    text: str


class Limit(Record):
    """A limit that was learned."""

    target: int
    replicas: int = Field(description="How many of the targets share it; `used` is of all of them")
    name: str
    value: float | None
    ceiling: float | None
    used: float | None
    moves: list[Move] = Field(description="The latest, newest first")


class SharedPlaces(Record):
    """Places that a model has together with others, beside its own limit."""

    with_: list[str] = Field(serialization_alias="with", description="The models that share them for sure")
    maybe_with: list[str] = Field(description="Those of which it is being tried whether they share them too")
    value: float | None = Field(description="How many may be in flight of all of them together")
    in_flight: int = Field(description="How many are")


class ModelLimit(Record):
    """The places of a model."""

    target: int
    replicas: int = Field(
        description="How many of the targets share them; `in_flight` and `waiting` are of all of them"
    )
    model: str = Field(
        description="The one that serves; `mcp`: calls of MCP tools, "
        "`unknown`: the request names none, or one that nothing has answered for yet"
    )
    value: float | None = Field(description="How many may be in flight")
    ceiling: float | None = Field(description="The number that was refused last")
    in_flight: int
    waiting: int
    moves: list[Move] = Field(description="The latest, newest first")
    shares: SharedPlaces | None = Field(description="null if it shares places with no other model")


class QuotaWindow(Record):
    """A window of the plan."""

    window: str
    limit_type: str
    used: float | None = Field(description="Share of the allowance, 0 to 1 and beyond")
    resets_at: MaybeTime
    runs_out_at: MaybeTime
    unused_at_reset: float | None = Field(description="Share of the allowance")
    gate_closed: bool = Field(description="New requests are refused until the reset")
    sample_age: float | None
    text: str | None = Field(description="The same as a sentence, in UTC")


class Rates(Record):
    """Tokens a minute by kind."""

    input: float | None
    output: float | None
    cache_read: float | None
    cache_write: float | None


class PerMinute(Record):
    """What was counted lately, for one minute."""

    requests: float | None
    failed: float | None
    tokens: Rates
    cost_usd: float | None
    credits: float | None
    seconds: float = Field(description="How long a time it is from")


class Trouble(Record):
    """Errors of one kind."""

    source: Origin
    class_: str = Field(serialization_alias="class")
    count: int
    codes: dict[str, int] = Field(description="How many of each code, most frequent first")
    title: str
    advice: str
    seconds: int = Field(description="How long a time they are from")


class TargetState(Record):
    """A proxy and whether it answers."""

    id: int
    name: str
    state: TargetHealth


class Snapshot(Record):
    """What the proxies say."""

    at: Time
    health: Health
    workers: Workers
    running: list[Running]
    running_total: int
    waiting: list[Waiting]
    waiting_total: int
    lanes: list[Lane]
    limits: list[Limit]
    model_limits: list[ModelLimit] = Field(description="By target, then by model")
    plan: str | None = Field(description="The plan's name")
    quota: list[QuotaWindow]
    per_minute: PerMinute
    cache: Cache
    errors: list[Trouble]
    alerts: list[Alert] = Field(description="Those that stand, the worst first")
    targets: list[TargetState]


class Now(Snapshot):
    """What the proxies say, and what a reader has to know of this dashboard."""

    version: str
    notice: str | None = Field(description="DASHBOARD_NOTICE")
    scrape_interval: float
    can_name: bool
    can_cancel: bool
    cancel_hint: str | None
