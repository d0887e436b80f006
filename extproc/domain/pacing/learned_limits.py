"""What pacing has learned, as plain values that survive a restart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from extproc.domain.pacing.ceiling import Ceiling
from extproc.domain.pacing.probing import LONGEST_HALF_LIFE
from extproc.domain.request.model_names import model_name

VERSION: Final = 1
ACCOUNT: Final = "main"
"""The only account so far: everything that was learned is kept under the name of its account."""
MOST_MODELS: Final = 50
"""How many models have a limit of their own."""
_FEWEST_IN_FLIGHT: Final = 1.0
_MOST_IN_FLIGHT: Final = 10_000.0
_FEWEST_PER_SECOND: Final = 0.001
_MOST_PER_SECOND: Final = 1_000_000.0
_EARLIEST: Final = 1_577_836_800.0  # 2020: no clock that was set says less
_LATEST: Final = 32_503_680_000.0  # the year 3000


@dataclass(frozen=True, slots=True)
class LearnedLimit:
    """A limit and the level that broke, with the Unix time at which it last did; None while none is known."""

    limit: float
    ceiling: float | None
    seen: float | None
    half_life: float | None

    def confidence(self, now: float) -> float:
        """How sure the ceiling still is, 0.0 to 1.0."""
        if self.ceiling is None or self.seen is None or self.half_life is None:
            return 0.0
        return Ceiling(self.ceiling, self.seen, self.half_life).confidence(now)

    def shifted(self, seconds: float) -> "LearnedLimit":
        """The same by a clock that is ahead by so much."""
        return replace(self, seen=None if self.seen is None else self.seen + seconds)

    def scaled(self, factor: float, least: float) -> "LearnedLimit":
        """The same of a part of the plan, or of the whole; no part is below `least`."""
        ceiling = None if self.ceiling is None else max(least, self.ceiling * factor)
        return LearnedLimit(max(least, self.limit * factor), ceiling, self.seen, self.half_life)


@dataclass(frozen=True, slots=True)
class LearnedGroup:
    """What is known of a limit that some models share, two at least."""

    models: tuple[str, ...]
    limit: LearnedLimit


@dataclass(frozen=True, slots=True)
class Learned:
    """Everything that pacing knows of an account's plan, at a Unix time: of the account as a whole, and of its models
    by the name that serves, the longest unused first. No model is in two groups."""

    saved_at: float
    concurrency: LearnedLimit
    rate: LearnedLimit
    models: Mapping[str, LearnedLimit] = field(default_factory=dict)
    groups: tuple[LearnedGroup, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """A dict of plain values, fit for JSON. Older versions pass over what they do not know, which may be accounts,
        models or groups."""
        whole = {"concurrency": asdict(self.concurrency), "rate": asdict(self.rate)}
        return {
            "version": VERSION,
            "saved_at": self.saved_at,
            **whole,  # for older versions, which look for it here
            "accounts": {ACCOUNT: whole},
            "models": {ACCOUNT: {model: asdict(known) for model, known in self.models.items()}},
            "groups": {ACCOUNT: [{"models": list(each.models), **asdict(each.limit)} for each in self.groups]},
        }

    def scaled(self, factor: float) -> "Learned":
        """What a part of the plan learns from what is known of the whole, or the other way round."""
        if factor == 1.0:
            return self
        return Learned(
            self.saved_at,
            self.concurrency.scaled(factor, _FEWEST_IN_FLIGHT),
            self.rate.scaled(factor, _FEWEST_PER_SECOND),
            {model: known.scaled(factor, _FEWEST_IN_FLIGHT) for model, known in self.models.items()},
            tuple(replace(each, limit=each.limit.scaled(factor, _FEWEST_IN_FLIGHT)) for each in self.groups),
        )

    def shifted(self, seconds: float) -> "Learned":
        """The same by a clock that is ahead by so much."""
        return Learned(
            self.saved_at + seconds,
            self.concurrency.shifted(seconds),
            self.rate.shifted(seconds),
            {model: known.shifted(seconds) for model, known in self.models.items()},
            tuple(replace(each, limit=each.limit.shifted(seconds)) for each in self.groups),
        )


@dataclass(frozen=True, slots=True)
class PlanPart:
    """What is known of the `whole` plan, and the `part` of it that one of several `replicas` began with. A part has one
    place of each model at least, so the whole is not told from it where there are fewer places than replicas."""

    replicas: int
    whole: Learned
    part: Learned

    def whole_of(self, part: Learned) -> Learned:
        """The whole plan, if so much is known of the part by now: what has not changed there has not changed."""
        scaled = part.scaled(self.replicas)
        models = {
            model: _unless_changed(part.models[model], each, self.part.models.get(model), self.whole.models.get(model))
            for model, each in scaled.models.items()
        }
        before = {each.models: each.limit for each in self.part.groups}
        groups = {tuple(sorted(each.models)): each.limit for each in self.whole.groups}
        return replace(
            scaled,
            concurrency=_unless_changed(
                part.concurrency, scaled.concurrency, self.part.concurrency, self.whole.concurrency
            ),
            rate=_unless_changed(part.rate, scaled.rate, self.part.rate, self.whole.rate),
            models=models,
            groups=tuple(
                replace(
                    each, limit=_unless_changed(now.limit, each.limit, before.get(each.models), groups.get(each.models))
                )
                for now, each in zip(part.groups, scaled.groups, strict=True)
            ),
        )


def _unless_changed(
    part: LearnedLimit, scaled: LearnedLimit, before: LearnedLimit | None, whole: LearnedLimit | None
) -> LearnedLimit:
    """A limit of the `whole` plan while the part of it is as it was `before`, else the `scaled` part."""
    if whole is None or before is None or (part.limit, part.ceiling) != (before.limit, before.ceiling):
        return scaled
    return whole


def read_learned(data: object) -> Learned:
    """What `as_dict` wrote, also that of an older version. Raises ValueError, naming the value, for anything else."""
    values = _mapping(data, "the file")
    if values.get("version") != VERSION or isinstance(values.get("version"), bool):
        raise ValueError(f"version={values.get('version')!r}: need {VERSION}")
    saved_at = _number(values, "saved_at", _EARLIEST, _LATEST)
    whole = _whole(values)
    return Learned(
        saved_at,
        _limit(_mapping(whole.get("concurrency"), "concurrency"), _FEWEST_IN_FLIGHT, _MOST_IN_FLIGHT, saved_at),
        _limit(_mapping(whole.get("rate"), "rate"), _FEWEST_PER_SECOND, _MOST_PER_SECOND, saved_at),
        _models(_mapping(values.get("models", {}), "models"), saved_at),
        _groups(_mapping(values.get("groups", {}), "groups"), saved_at),
    )


def _whole(values: Mapping[str, object]) -> Mapping[str, object]:
    """Where the limits of the account as a whole stand: older versions named no account."""
    if "accounts" not in values:
        return values
    return _mapping(_mapping(values["accounts"], "accounts").get(ACCOUNT), f"{ACCOUNT} of accounts")


def _models(values: Mapping[str, object], saved_at: float) -> Mapping[str, LearnedLimit]:
    of_account = _mapping(values.get(ACCOUNT, {}), f"models of {ACCOUNT}")
    if len(of_account) > MOST_MODELS:
        raise ValueError(f"models of {ACCOUNT}: {len(of_account)}: need {MOST_MODELS} at most")
    return {
        model_name(model): _limit(_mapping(known, model_name(model)), _FEWEST_IN_FLIGHT, _MOST_IN_FLIGHT, saved_at)
        for model, known in of_account.items()
    }


def _groups(values: Mapping[str, object], saved_at: float) -> tuple[LearnedGroup, ...]:
    of_account = _list(values.get(ACCOUNT, []), f"groups of {ACCOUNT}")
    groups = []
    for each in of_account:
        known = _mapping(each, "a group")
        models = tuple(model_name(str(model)) for model in _list(known.get("models"), "models of a group"))
        if len(models) < 2:
            raise ValueError(f"models of a group: {len(models)}: need 2 at least")
        groups.append(LearnedGroup(models, _limit(known, _FEWEST_IN_FLIGHT, _MOST_IN_FLIGHT, saved_at)))
    grouped = [model for group in groups for model in group.models]
    if len(set(grouped)) < len(grouped):
        raise ValueError("models of groups: need each once")
    return tuple(groups)


def _limit(values: Mapping[str, object], least: float, most: float, saved_at: float) -> LearnedLimit:
    limit = _number(values, "limit", least, most)
    if values.get("ceiling") is None:
        return LearnedLimit(limit, None, None, None)
    return LearnedLimit(
        limit,
        _number(values, "ceiling", least, most),
        _number(values, "seen", _EARLIEST, saved_at),
        _number(values, "half_life", 1.0, LONGEST_HALF_LIFE),
    )


def _mapping(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: need an object")
    return value


def _list(value: object, name: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise ValueError(f"{name}: need a list")
    return value


def _number(values: Mapping[str, object], name: str, least: float, most: float) -> float:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name}={value!r}: need a number")
    if not least <= value <= most:
        raise ValueError(f"{name}={value!r}: need {least:g} to {most:g}")
    return float(value)
