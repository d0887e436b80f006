"""How many requests of each model may be in flight at a moment, as one learns it and tells it others. Plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from extproc.domain.request.model_names import model_name


@dataclass(frozen=True, slots=True)
class ModelPlaces:
    """So many of a model may be in flight: `usable` now, `limit` as far as is learned, of which `breath` is in use.

    `proven` is how many have proven to be there, and `stormy` says that even a single request was refused. `group` is
    0, or the number from 1 on of the group of models with which it shares one limit more.
    """

    usable: int
    limit: int
    breath: float = 1.0
    proven: int = 1
    stormy: bool = False
    group: int = 0


@dataclass(frozen=True, slots=True)
class GroupPlaces:
    """So many of some models together may be in flight: now, as far as is learned, and as has proven to be there."""

    usable: int
    limit: int
    proven: int = 1


@dataclass(frozen=True, slots=True)
class PlanPlaces:
    """What may be in flight of each model. `new` is for one that is not named, `tools` for MCP tools if they are not;
    None, as older leaders rule, is as many as the account may have. So many of the account are `proven`; None, as older
    leaders rule, stands for any number. `rate_is_proven` says that nothing came too often lately."""

    models: Mapping[str, ModelPlaces] = field(default_factory=dict)
    groups: tuple[GroupPlaces, ...] = ()
    new: int | None = None
    tools: int | None = None
    proven: int | None = None
    rate_is_proven: bool = True

    def group_of(self, model: str) -> GroupPlaces | None:
        """The places that a model shares with others, apart from the account's."""
        known = self.models.get(model)
        return self.groups[known.group - 1] if known is not None and known.group else None

    def members(self, model: str) -> list[str]:
        """The models that share those, itself included."""
        group = self.models[model].group
        return [each for each, places in self.models.items() if places.group == group]

    def allow_the_same(self, other: "PlanPlaces") -> bool:
        """Whether as many of each model may be in flight now by both."""
        return self._rooms() == other._rooms()

    def _rooms(self) -> tuple[object, ...]:
        of_models = {model: (each.usable, each.group) for model, each in self.models.items()}
        return of_models, [group.usable for group in self.groups], self.new, self.tools

    def as_dict(self) -> dict[str, object]:
        """Plain values, fit for JSON."""
        return {
            "models": {model: asdict(places) for model, places in self.models.items()},
            "groups": [asdict(group) for group in self.groups],
            "new": self.new,
            "tools": self.tools,
            "proven": self.proven,
            "rate_is_proven": self.rate_is_proven,
        }


def read_plan_places(data: object) -> PlanPlaces:
    """What `as_dict` wrote. Raises ValueError for anything else."""
    try:
        values, places = _mapping(data), {}
        groups = tuple(
            GroupPlaces(_count(each, "usable"), _count(each, "limit"), _count(each, "proven"))
            for each in values["groups"]
        )
        for model, each in _mapping(values["models"]).items():
            group = _count(each, "group")
            if group > len(groups):
                raise ValueError(f"group {group} of {len(groups)}")
            places[model_name(model)] = ModelPlaces(
                usable=_count(each, "usable"),
                limit=_count(each, "limit"),
                breath=float(each["breath"]),
                proven=_count(each, "proven"),
                stormy=bool(each["stormy"]),
                group=group,
            )
        new, tools, proven = (_count_or_none(values, name) for name in ("new", "tools", "proven"))
        return PlanPlaces(places, groups, new, tools, proven, bool(values["rate_is_proven"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"the places: {error!r}") from None


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
