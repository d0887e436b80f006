"""Ends requests that found no connection to the upstream as often as they may be tried."""

from collections.abc import Callable

from extproc.domain.request import refusals
from extproc.domain.request.admission import Admission
from extproc.domain.request.business_codes import LIMITS_CODES
from extproc.domain.request.refusals import Refusal
from extproc.domain.usage.failure import Failure


class GivingUp:
    """Counts how often a request failed for another reason than the plan's limits.

    Envoy has one number of tries, and that is the larger one of requests that wait for their turn. An answer that is to
    be made no more it lets through; after a connection that failed it would go on. So after more than `max_retries`
    failures the request is ended here: `no_connection` makes words of Envoy's details, and `end` is given the
    exchange's id, the refusal and those details.
    """

    def __init__(
        self,
        admission: Admission,
        max_retries: int,
        no_connection: Callable[[str], str],
        end: Callable[[str, Refusal, str], None],
    ) -> None:
        self._admission = admission
        self._max_retries = max_retries
        self._no_connection = no_connection
        self._end = end

    def take_failure(self, failure: Failure) -> None:
        """An attempt has ended in an error, or without an answer."""
        exchange = self._admission.find(failure.exchange_id)
        if exchange is None or failure.code.code in LIMITS_CODES:
            return
        exchange.failures += 1
        if not failure.is_answer and exchange.failures > self._max_retries:
            why = failure.entry.details
            self._end(exchange.id, refusals.unavailable(self._no_connection(why)), why)
