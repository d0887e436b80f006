"""How many requests of each model may be in flight at a moment, as one learns it and tells it others. Plain values."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from extproc.domain.request.model_names import model_name

_LONGEST_LAG: Final = 1.0


@dataclass(frozen=True, slots=True)
class ModelPlaces:
    """How many of a model may be in flight: `usable` at this moment; `limit` is what was learned of the plan.

    After an overload only `share_in_use` (0.0 to 1.0) of the limit may be used. `group` is the number, counted from 1,
    of the group of models with which it shares a further limit; 0 if it shares none. A place is left alone for `lag`
    seconds after its answer has ended, since the upstream may give it back that late. Nothing of the model starts
    before the Unix time `paused_until`; None if it is not to pause. Older leaders say neither.
    """

    usable: int
    limit: int
    share_in_use: float = 1.0
    group: int = 0
    lag: float = 0.0
    paused_until: float | None = None

    def as_dict(self) -> dict[str, object]:
        """Plain values, fit for JSON. `breath` is the name that replicas of every version know; older ones look for
        `proven` and `stormy` too."""
        return {
            "usable": self.usable,
            "limit": self.limit,
            "breath": self.share_in_use,
            "proven": self.limit,
            "stormy": False,
            "group": self.group,
            "lag": self.lag,
            "paused_until": self.paused_until,
        }

    def shifted(self, seconds: float) -> "ModelPlaces":
        """The same by a clock that is ahead by so much."""
        return self if self.paused_until is None else replace(self, paused_until=self.paused_until + seconds)


@dataclass(frozen=True, slots=True)
class GroupPlaces:
    """The same figures for models that share a limit, all of them together."""

    usable: int
    limit: int


@dataclass(frozen=True, slots=True)
class PlanPlaces:
    """What may be in flight of each model.

    `new` holds for a model that is not named, `tools` for MCP tools if they are not. Leaders of older versions say
    neither, which is None: then the account's limit holds for both. `rate_is_proven` says that nothing was refused
    lately for coming too often.
    """

    models: Mapping[str, ModelPlaces] = field(default_factory=dict)
    groups: tuple[GroupPlaces, ...] = ()
    new: int | None = None
    tools: int | None = None
    rate_is_proven: bool = True

    def group_of(self, model: str) -> GroupPlaces | None:
        """The places that a model shares with others, apart from the account's."""
        known = self.models.get(model)
        return self.groups[known.group - 1] if known is not None and known.group else None

    def members(self, model: str) -> list[str]:
        """The models that share these places, this one included."""
        group = self.models[model].group
        return [each for each, places in self.models.items() if places.group == group]

    def shifted(self, seconds: float) -> "PlanPlaces":
        """The same by a clock that is ahead by so much."""
        return replace(self, models={model: each.shifted(seconds) for model, each in self.models.items()})

    def allow_the_same(self, other: "PlanPlaces") -> bool:
        """Whether both let the same number of each model be in flight now, and are as late."""
        return self._rooms() == other._rooms()

    def _rooms(self) -> tuple[object, ...]:
        of_models = {model: (each.usable, each.group, each.lag) for model, each in self.models.items()}
        return of_models, [group.usable for group in self.groups], self.new, self.tools

    def as_dict(self) -> dict[str, object]:
        """Plain values, fit for JSON. Older replicas look for `proven`, and take null for any number."""
        return {
            "models": {model: places.as_dict() for model, places in self.models.items()},
            "groups": [{**asdict(group), "proven": group.limit} for group in self.groups],
            "new": self.new,
            "tools": self.tools,
            "proven": None,
            "rate_is_proven": self.rate_is_proven,
        }


def read_plan_places(data: object) -> PlanPlaces:
    """What `as_dict` wrote. Raises ValueError for anything else."""
    try:
        values, places = _mapping(data), {}
        groups = tuple(GroupPlaces(_count(each, "usable"), _count(each, "limit")) for each in values["groups"])
        for model, each in _mapping(values["models"]).items():
            group = _count(each, "group")
            if group > len(groups):
                raise ValueError(f"group {group} of {len(groups)}")
            places[model_name(model)] = ModelPlaces(
                usable=_count(each, "usable"),
                limit=_count(each, "limit"),
                share_in_use=float(each["breath"]),
                group=group,
                lag=_lag(each.get("lag", 0.0)),
                paused_until=_time_or_none(each.get("paused_until")),
            )
        new, tools = (_count_or_none(values, name) for name in ("new", "tools"))
        return PlanPlaces(places, groups, new, tools, bool(values["rate_is_proven"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"the places: {error!r}") from None


def _lag(value: float) -> float:
    lag = float(value)
    if not 0.0 <= lag <= _LONGEST_LAG:
        raise ValueError(f"lag={lag}: need 0 to {_LONGEST_LAG:g}")
    return lag


def _time_or_none(value: float | None) -> float | None:
    if value is None:
        return None
    time = float(value)
    if not math.isfinite(time):
        raise ValueError(f"paused_until={time}: need a time")
    return time


def _mapping(data: object) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise TypeError("need an object")
    return data


def _count_or_none(values: Mapping[str, object], name: str) -> int | None:
    return None if values[name] is None else _count(values, name)


def _count(values: object, name: str) -> int:
    count = int(_mapping(values)[name])
    if count < 0:
        raise ValueError(f"{name}={count}: need 0 at least")
    return count
