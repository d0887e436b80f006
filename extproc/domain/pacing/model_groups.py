"""Which models share a limit, and how that is found out. Pure: the caller brings the time.

A model that is refused even alone, again and again, while another gets through, may share its limit with that one: then
the two are held to what the other had, and if that does not help, it is let go. Models that are refused at one sum,
whatever each has of it, share it; if those are all of three or more, it is the account's.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from extproc.domain.pacing.attribution import Attribution, RefusedStart
from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.gate import Gate
from extproc.domain.pacing.learned_limits import LearnedGroup
from extproc.domain.pacing.plan_places import GroupPlaces
from extproc.domain.pacing.records import GroupStatus, group_status
from extproc.domain.pacing.refused_sums import RefusedSums

# For so long a model that is refused even alone is taken for one that a storm has struck, and nothing else is tried.
_ALONE_FOR: Final = 60.0
# Whether two models share a limit is given up after this many refusals, and asked again only after this many seconds.
_TRIES: Final = 3
_TRIED: Final = 120.0


def together(own: Mapping[str, float], groups: Iterable[tuple[Collection[str], float]]) -> float:
    """What models have together of which each has its `own`, and those of a group no more than the group has."""
    alone = dict(own)
    shared = sum(min(limit, sum(alone.pop(each, 0) for each in members)) for members, limit in groups)
    return shared + sum(alone.values())


@dataclass(frozen=True, slots=True)
class _Trial:
    """A model that was refused even alone is held together with another since then, to see whether that helps."""

    other: str
    since: Steady
    refusals: int = 0


class _Group:
    """Models that share one limit."""

    __slots__ = ("gate", "members")

    def __init__(self, gate: Gate, *members: str) -> None:
        self.gate = gate
        self.members = set(members)


class ModelGroups:
    """The models of one account that share limits, known ones and those on trial. Times are steady seconds.

    `models` are the gates of the account's models, which the caller goes on keeping. A larger limit may turn out to be
    that of the `account`; a group has `most_in_flight` at most. `regrouped` is called whenever a model may pass other
    gates than before.
    """

    def __init__(
        self,
        models: Mapping[str, Gate],
        account: Gate,
        attribution: Attribution,
        most_in_flight: int,
        regrouped: Callable[[], None],
    ) -> None:
        self._models = models
        self._account = account
        self._attribution = attribution
        self._most_in_flight = most_in_flight
        self._regrouped = regrouped
        self._groups: dict[str, _Group] = {}
        self._trials: dict[str, _Trial] = {}
        self._tried: dict[tuple[str, str], float] = {}
        self._sums = RefusedSums()

    def gate(self, model: str) -> Gate | None:
        """The gate that a model shares with others; None if it shares none."""
        group = self._groups.get(model)
        return None if group is None else group.gate

    def members(self, model: str) -> Collection[str]:
        """The models that share a limit with one, itself included; none if it shares none."""
        group = self._groups.get(model)
        return () if group is None else group.members

    def gates(self) -> Sequence[Gate]:
        """The gates of all groups, each once."""
        return [group.gate for group in self._all()]

    def together(self, own: Mapping[str, int]) -> int:
        """How many of some models may be in flight together, each having its `own` limit, if no other model is."""
        return int(together(own, ((group.members, group.gate.limit.limit) for group in self._all())))

    def rivals(self, wanted: Mapping[str, int], t: Steady) -> set[str]:
        """The models that want more places of what they share than it has; `wanted` is how many each wants."""
        rivals: set[str] = set()
        for group in self._all():
            those = [each for each in wanted if self._groups.get(each) is group]
            if len(those) > 1 and sum(wanted[each] for each in those) > group.gate.places(t):
                rivals.update(those)
        return rivals

    def advance(self, t: Steady) -> None:
        """Ends the trials of models that got through."""
        for model in [
            each for each, trial in self._trials.items() if self._attribution.got_through(each, trial.since, t)
        ]:
            del self._trials[model]

    def refused(self, attempt: RefusedStart, t: Steady) -> None:
        """An attempt was refused for being one too many. If its model was alone and is on trial, holding it together
        with the other has not helped."""
        model, trial = attempt.model, self._trials.get(attempt.model)
        if trial is None or attempt.started < trial.since:
            return
        own = self._models[model]
        if own.level(attempt.started, attempt.ended) != 1:
            return
        self._trials[model] = trial = replace(trial, refusals=trial.refusals + 1)
        if trial.refusals >= _TRIES:
            self.leave(model)
            self.recount(t)
            self._tried[model, trial.other] = t
        else:
            # The other model may have more in flight than the plan has places by now, so one less is assumed.
            gate = self._groups[model].gate
            gate.limit.assume(gate.in_flight - own.in_flight - 1, t)

    def refused_alone(self, model: str, others: Mapping[str, Gate], t: Steady) -> None:
        """A model that is refused even alone may share its limit with one of the `others` that has work and is not
        refused.

        It must use all that it is known to have: while it leaves places free, they are not what the other lacks. And it
        must have got through meanwhile and have lost nothing: a storm strikes models that share nothing, too, and what
        runs since before it says nothing. A storm may strike one model alone, so it has to last.
        """
        self._tried = {pair: at for pair, at in self._tried.items() if t <= at + _TRIED}
        group, alone_since = self._groups.get(model), self._models[model].limit.alone_since
        busy = [
            (gate.in_flight, other)
            for other, gate in others.items()
            if gate.in_flight >= max(gate.limit.proven, 1)
            and not gate.limit.has_fallen
            and self._attribution.got_through(other, alone_since, t)
            and (model, other) not in self._tried
            and (group is None or self._groups.get(other) is not group)
        ]
        if not busy or t < alone_since + _ALONE_FOR:
            return
        if group is not None:
            self._try_the_account(model, group, t)
            return
        _, other = max(busy)
        self._trials[model] = _Trial(other, t)
        self._share(model, other, t)

    def refused_with(self, model: str, in_flight: Mapping[str, int], others: Mapping[str, Gate], t: Steady) -> None:
        """One of a model was refused while so many of each were at the upstream, itself included. Models that are
        refused at one sum share it; if those are all of three or more, it is the account's."""
        units = dict.fromkeys(frozenset(self.members(each) or {each}) for each in (model, *others))
        found = self._sums.note(model, in_flight, list(units), self._attribution.all_through(t), t)
        if found is None:
            return
        models, places = found
        self._sums.forget()
        for each in models:
            self.leave(each)
        if len(models) > 2 and models >= others.keys():
            self.recount(t)
            # What is known already is not to be tried any later for it.
            ceiling = self._account.limit.ceiling
            if ceiling is None or places + 1 < ceiling.level:
                self._account.limit.assume(places, t)
            return
        group = _Group(Gate(1, self._most_in_flight), *models)
        self._groups.update(dict.fromkeys(models, group))
        self.recount(t)
        group.gate.limit.assume(places, t)

    def leave(self, model: str) -> None:
        """A model shares its limit with none from now on."""
        self._regrouped()
        self._trials.pop(model, None)
        group = self._groups.pop(model, None)
        if group is None:
            return
        group.members.discard(model)
        if len(group.members) < 2:
            for other in group.members:
                self._groups.pop(other, None)
                self._trials.pop(other, None)

    def recount(self, t: Steady) -> None:
        """Sets how many are in flight of each group by what its models have."""
        self._regrouped()
        for group in self._all():
            in_flight = sum(self._models[each].in_flight for each in group.members if each in self._models)
            group.gate.correct(in_flight, t)

    def numbers(self) -> Mapping[str, int]:
        """The number of each model's group, from 1 on; models that share no limit have none."""
        numbers = {group: number for number, group in enumerate(self._all(), 1)}
        return {model: numbers[group] for model, group in self._groups.items()}

    def places(self, t: Steady) -> tuple[GroupPlaces, ...]:
        """How many of each group may be in flight now, in the order of their numbers."""
        return tuple(GroupPlaces(gate.usable(t), gate.limit.limit) for gate in self.gates())

    def learned(self, outside: Callable[[float], float]) -> tuple[LearnedGroup, ...]:
        """What is known of limits that models share, without those on trial; `outside` turns a steady time into one of
        the caller's."""
        return tuple(
            LearnedGroup(tuple(sorted(known)), group.gate.limit.learned(outside))
            for group in self._all()
            if len(known := self._known(group)) > 1
        )

    def restore(
        self, learned: Sequence[LearnedGroup], among: Collection[str], past: Callable[[float], Steady], t: Steady
    ) -> None:
        """Goes on with models that share a limit. Only those `among` the given ones may; `past` turns a time of the
        caller's into a steady one."""
        for known in learned:
            models = [model for model in known.models if model in among]
            if len(models) > 1:
                group = _Group(Gate(1, self._most_in_flight), *models)
                group.gate.limit.restore(known.limit, past)
                self._groups.update(dict.fromkeys(models, group))
        self.recount(t)

    def status(self, model: str) -> GroupStatus | None:
        """What there is to see of the places that a model shares; None if it shares none."""
        group = self._groups.get(model)
        if group is None:
            return None
        return group_status(model, group.members, self._known(group), group.gate.limit.limit, group.gate.in_flight)

    def _all(self) -> Collection[_Group]:
        return dict.fromkeys(self._groups.values())

    def _known(self, group: _Group) -> set[str]:
        """Those of a group that surely share its limit."""
        return group.members - self._trials.keys()

    def _share(self, model: str, other: str, t: Steady) -> None:
        group = self._groups.get(other)
        if group is None:
            group = self._groups[other] = _Group(Gate(1, self._most_in_flight), other)
        group.members.add(model)
        self._groups[model] = group
        self.recount(t)
        # What is in flight here of the model that was refused is not at the upstream, so it does not count.
        group.gate.limit.assume(group.gate.in_flight - self._models[model].in_flight, t)

    def _try_the_account(self, model: str, group: _Group, t: Steady) -> None:
        """A model is refused even alone though those that it shares a limit with leave places free, and one beside them
        gets through: then what it lacks is the account's, and that has what is in flight."""
        if model in self._trials or group.gate.in_flight >= group.gate.limit.limit:
            return
        self.leave(model)
        self.recount(t)
        self._account.limit.assume(self._account.in_flight - self._models[model].in_flight, t)
