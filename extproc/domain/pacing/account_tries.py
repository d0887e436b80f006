"""Which model tries the account's limit. Pure: the caller brings the time.

What is put down to the account bounds all models, if that is right; if only some of them share places, another may have
a limit of its own, and is held below it by theirs. An attempt of that one alone shows it. So the place of the account's
next try is kept for a model that was not refused since its ceiling is known, and that waits though its own limit leaves
it places. If the limit is the account's, its refusal says the same as any other; if not, the try holds, and the account
grows.
"""

from collections.abc import Collection, Mapping

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.gate import Gate
from extproc.domain.pacing.kept_place import KeptPlace


class AccountTries:
    """Keeps the place of a try for a model that shows whether the account's ceiling is its own too. `models` are the
    gates of the account's models, and `kept` is the place that may be kept for one of them."""

    __slots__ = ("_account", "_ceiling", "_kept", "_models", "_refused")

    def __init__(self, models: Mapping[str, Gate], account: Gate, kept: KeptPlace) -> None:
        self._models = models
        self._account = account
        self._kept = kept
        # Which models were refused since the account's ceiling is at this level.
        self._refused: set[str] = set()
        self._ceiling: float | None = None

    def refused(self, model: str) -> None:
        """An attempt of a model was refused for being one too many, whomever that is put down to."""
        # A model that was forgotten since begins anew.
        self._refused = {each for each in self._refused if each in self._models} | {model}

    def advance(self, wanting: Collection[str], t: Steady) -> None:
        """Looks whether a try is due, and who is to make it; `wanting` are those that have work waiting."""
        limit = self._account.limit
        ceiling = None if limit.ceiling is None else limit.ceiling.level
        if ceiling != self._ceiling:
            self._refused.clear()
            self._ceiling = ceiling
        # What has fallen may be back soon, for all models: that is tried in any case.
        if not limit.is_probing or limit.has_fallen or not self._account.has_place(t):
            return
        model = next((each for each, gate in self._models.items() if self._may_show(each, gate, wanting, t)), None)
        if model is not None:
            self._kept.keep(model, t)

    def _may_show(self, model: str, gate: Gate, wanting: Collection[str], t: Steady) -> bool:
        """Whether a model was not refused yet, and would be at a level that its own limit is known to have."""
        if model in self._refused or model not in wanting:
            return False
        return gate.in_flight < gate.limit.proven and not gate.limit.has_fallen and gate.has_place(t)
