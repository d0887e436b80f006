"""Whose limit an attempt was refused by: its model's, that of models that share one, or the account's.

Nobody tells: a refusal says that one request was too many, and not of what. So it is judged by the levels at which the
attempt came, of its model alone and of all that may count with it:

    a probe was on its way                  of the limit that probed, the smallest if several did; but of the model if
                                            its level was new too, and the next attempt is the larger limit's probe
    the model's level was new, no other     of the model
    the model's was not, a larger one was   of the smallest of those
    both were new, or neither (the plan     of the model, for now
      has shrunk)

What was taken for a model's is taken back if a second model is refused likewise and no other got through at such a
level: then it was the larger limit's. A model that wants more and was not refused yet is waited for, since it goes on
to where the others were. Where all models are at their limits at once both look the same; either explains it, and what
comes next tells.

Which models share a limit at all is for `model_groups` to find out. Pure: the caller brings the time.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.concurrency_limit import Lesson
from extproc.domain.pacing.gate import Gate
from extproc.domain.pacing.levels_on_trial import ON_THE_WAY

# The news of a refusal is here after this time, or there is none.
_VERDICT: Final = 1.5
# If two models are refused within this time, each at a level that used to fit, one change of the plan explains both.
_SAME_CHANGE: Final = 15.0
# A refusal at a level that is new to two limits may be due to either. It is kept this long, and judged again when the
# next one comes.
_REMEMBERED: Final = 120.0
_STARTS_KEPT: Final = 512
_AMBIGUOUS_KEPT: Final = 256
# An attempt begins a little after it was let go.
_ROUNDING: Final = 0.05


@dataclass(frozen=True, slots=True)
class RefusedStart:
    """An attempt that was refused for being one too many: when it began, what to call it, and until when the upstream
    wants to be left alone, if it said so."""

    model: str
    started: Steady
    ended: Steady
    cause: str
    until: float | None


@dataclass(slots=True)
class _Start:
    """An attempt that was not refused, as far as is known: when it began, and at which level of the larger gates.

    `in_flight` is how many of each model were at the upstream with it, and `is_sure` whether they surely were: one that
    was refused was not, and one whose answer ended just then may have been gone.
    """

    at: Steady
    model: str
    levels: tuple[tuple[Gate, int], ...]
    in_flight: Mapping[str, int]
    is_sure: bool = True

    def level(self, gate: Gate) -> int:
        return next((level for each, level in self.levels if each is gate), 0)


@dataclass(frozen=True, slots=True)
class _AmbiguousRefusal:
    """A refusal that was blamed on the limit of its model (`own`), though it may have been that of a larger `gate`.

    `level` is how many were in flight under the larger gate, `was_new` whether so many had not been before; `before`
    is what the model's limit believed until then.
    """

    model: str
    own: Gate
    gate: Gate
    level: int
    started: Steady
    at: Steady
    cause: str
    was_new: bool
    before: Lesson


class Attribution:
    """Teaches each refusal to the limit that it speaks of."""

    def __init__(self) -> None:
        self._ambiguous: deque[_AmbiguousRefusal] = deque(maxlen=_AMBIGUOUS_KEPT)
        self._starts: deque[_Start] = deque(maxlen=_STARTS_KEPT)

    def started(
        self, model: str, levels: tuple[tuple[Gate, int], ...], in_flight: Mapping[str, int], t: Steady
    ) -> None:
        """An attempt has begun, at these levels of the gates that it shares with other models; so many of each model
        are at the upstream with it."""
        self._starts.append(_Start(t, model, levels, in_flight))

    def ended(self, t: Steady) -> None:
        """An answer of any model has ended."""
        self._doubt(t - ON_THE_WAY)

    def in_flight_with(self, attempt: RefusedStart) -> Mapping[str, int] | None:
        """How many of each model were at the upstream with an attempt at most; None if nobody knows. What starts a
        moment later may arrive before it."""
        own = self._start_of(attempt.model, attempt.started)
        if own is None:
            return None
        # One that is refused at once may have ended, by Envoy's clock, before it is noted here that it has begun.
        until = max(own.at, attempt.ended)
        those = [start.in_flight for start in self._starts if own.at <= start.at <= until]
        return {model: max(each.get(model, 0) for each in those) for model in own.in_flight}

    def got_through(self, model: str, since: Steady, t: Steady) -> bool:
        """Whether an attempt that began since then was not refused, by what is known for sure."""
        return any(start.model == model and since <= start.at <= t - _VERDICT for start in self._starts)

    def all_through(self, t: Steady) -> list[tuple[Steady, Mapping[str, int]]]:
        """When attempts began of which it is known for sure that they were not refused, and how many of each model were
        at the upstream with each of them."""
        return [(start.at, start.in_flight) for start in self._starts if start.is_sure and start.at <= t - _VERDICT]

    def refused(self, attempt: RefusedStart, own: Gate, larger: Sequence[Gate], t: Steady) -> int | None:
        """An attempt of a model was refused. It had passed the model's gate (`own`) and the `larger` ones, which come
        smallest first.

        If the model's own limit is blamed, returns how many of the model were in flight with the attempt; None if
        another limit is blamed, or none.
        """
        self._take_out(attempt.model, attempt.started)
        levels = {gate: gate.level(attempt.started, attempt.ended) for gate in (own, *larger)}
        known = {gate: level for gate, level in levels.items() if level is not None}
        for gate in known:
            gate.take_out(attempt.started, attempt.ended)
        if own not in known:
            return None
        for gate, level in known.items():
            gate.limit.advance(t)
            gate.release_lag.refused(attempt.started, t)
            gate.limit.was_refused(level, t)
        for gate, level in known.items():
            gate.limit.distrust(level, attempt.started)
        if self._is_excused(attempt, own, known, t):
            return None
        blamed = self._blamed(attempt, own, known, t)
        is_start = all(gate.limit.is_untried for gate in known)
        for gate in blamed:
            gate.limit.refused(
                known[gate], attempt.started, attempt.cause, t, attempt.until, nothing_gets_through=is_start
            )
        if attempt.until is not None and not blamed:
            own.limit.wait_as_told(attempt.until, known[own], attempt.started)
        return known[own] if own in blamed else None

    def _is_excused(self, attempt: RefusedStart, own: Gate, levels: dict[Gate, int], t: Steady) -> bool:
        """Whether a place that the upstream gives back late may be the reason: then the refusal is no lesson yet."""
        if attempt.until is not None:
            return False
        for gate, level in levels.items():
            if gate.limit.is_known(level, attempt.started) or gate.limit.is_probe(level):
                return False
        # A larger gate that was never refused has no known limit, so it cannot be full.
        full = [(gate, level) for gate, level in levels.items() if gate is own or not gate.is_open]
        # All of them are asked, since asking is how each begins to doubt.
        excusing = [gate for gate, level in full if gate.excuses(level, attempt.started, t)]
        return bool(excusing)

    def _blamed(self, attempt: RefusedStart, own: Gate, levels: dict[Gate, int], t: Steady) -> Sequence[Gate]:
        if any(gate.limit.is_known(level, attempt.started) for gate, level in levels.items()):
            return ()
        probed = [gate for gate, level in levels.items() if gate.limit.is_probe(level)]
        new = {gate: gate.limit.is_new(level) for gate, level in levels.items()}
        if probed:
            # Where one attempt tested two limits, the next one tests the larger alone.
            return [own] if new[own] else probed[:1]
        larger = [gate for gate in levels if gate is not own]
        if not new[own] and any(new.values()):
            return [next(gate for gate in larger if new[gate])]
        for gate in larger:
            if new[gate] is new[own]:
                refusal = _AmbiguousRefusal(
                    model=attempt.model,
                    own=own,
                    gate=gate,
                    level=levels[gate],
                    started=attempt.started,
                    at=t,
                    cause=attempt.cause,
                    was_new=new[own],
                    before=own.limit.lesson(),
                )
                self._ambiguous.append(refusal)
        return (own,)

    @property
    def is_in_doubt(self) -> bool:
        """Whether anything that was blamed may have been another limit's: then it is to be reconsidered."""
        return bool(self._ambiguous)

    def reconsider(self, larger: Mapping[Gate, Collection[str]], t: Steady) -> None:
        """Looks again at what was blamed on the limits of single models: where two models were refused at levels of a
        larger gate which no other model got past, it was the limit of that gate.

        `larger` says which models have work that waits for places of each larger gate.
        """
        self._keep(lambda refusal: self._may_be(refusal, t))
        for gate, wanting in larger.items():
            for was_new in (True, False):
                alike = [refusal for refusal in self._ambiguous if refusal.gate is gate and refusal.was_new is was_new]
                models = {refusal.model for refusal in alike}
                # A model that wants more and was not refused yet will tell: it goes on to where the others were. So
                # does an attempt that has just begun there.
                is_open = was_new and not models.issuperset(wanting)
                if len(models) >= 2 and not is_open and t >= alike[-1].at + _VERDICT and not self._is_tried(alike, t):
                    self._take_back(gate, alike, t)

    def _take_back(self, gate: Gate, alike: Sequence[_AmbiguousRefusal], t: Steady) -> None:
        first: dict[str, _AmbiguousRefusal] = {}
        for refusal in alike:
            first.setdefault(refusal.model, refusal)
        for refusal in first.values():
            refusal.own.limit.take_back(refusal.before, t)
        lowest = min(alike, key=_level)
        is_start = gate.limit.is_untried
        last = alike[-1]
        gate.limit.refused(
            lowest.level, last.started, lowest.cause, t, nothing_gets_through=is_start, refused_at=Steady(last.at)
        )
        settled = {(refusal.model, refusal.at) for refusal in alike}
        self._keep(lambda refusal: (refusal.model, refusal.at) not in settled)

    def _keep(self, is_kept: Callable[[_AmbiguousRefusal], bool]) -> None:
        self._ambiguous = deque(filter(is_kept, self._ambiguous), maxlen=_AMBIGUOUS_KEPT)

    def _may_be(self, refusal: _AmbiguousRefusal, t: Steady) -> bool:
        """Whether the larger gate may still turn out to be why an attempt was refused."""
        if refusal.was_new:
            if t > refusal.at + _REMEMBERED or not refusal.gate.limit.is_new(refusal.level):
                return False
        elif t > refusal.at + _SAME_CHANGE or refusal.gate.is_open:
            return False
        return not any(refusal.started <= start.at <= t - _VERDICT for start in self._starts_past(refusal))

    def _is_tried(self, alike: Sequence[_AmbiguousRefusal], t: Steady) -> bool:
        """Whether it will be known soon if another model gets past a level at which some were refused."""
        return any(start.at > t - _VERDICT for refusal in alike for start in self._starts_past(refusal))

    def _starts_past(self, refusal: _AmbiguousRefusal) -> Iterator[_Start]:
        """Starts of other models that came to where an attempt was refused, or further."""
        return (
            start
            for start in self._starts
            if start.model != refusal.model and start.level(refusal.gate) >= refusal.level
        )

    def _take_out(self, model: str, started: Steady) -> None:
        """Removes the attempt that began then: it was refused, so it must not count as one that got through."""
        start = self._start_of(model, started)
        if start is not None:
            self._starts.remove(start)
            self._doubt(start.at)

    def _doubt(self, since: float) -> None:
        """What was counted with the attempts that began since then may not have been at the upstream."""
        for start in reversed(self._starts):
            if start.at < since:
                return
            start.is_sure = False

    def _start_of(self, model: str, started: Steady) -> _Start | None:
        near = [start for start in self._starts if start.model == model and start.at <= started + _ROUNDING]
        return near[-1] if near else None


def _level(refusal: _AmbiguousRefusal) -> int:
    return refusal.level
