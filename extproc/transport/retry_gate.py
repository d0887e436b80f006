"""The service that Envoy asks before it sends a refused request again: it answers when there is a place for it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from extproc.domain.request.admission import Admission
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.refusals import Refusal
from extproc.runtime.pacer import Pacer
from extproc.transport.grpc_call import Call, Method

_PATH: Final = "/zai.proxy.Turns/Await"
_EXCHANGE: Final = "x-exchange"


class RetryGate:
    """`/zai.proxy.Turns/Await` with the exchange's id in `x-exchange`. The request is an empty message; the answer has
    the whole seconds after which the client may come back if it is refused again, or is empty if nobody knows.

    A request that has waited too long gets no answer here: `refuse` gives its client one, and with it Envoy gives up
    the attempt that asks. It returns False where it can't; then the attempt goes.
    """

    def __init__(self, admission: Admission, pacer: Pacer, refuse: Callable[[str, Refusal], bool]) -> None:
        self._admission = admission
        self._pacer = pacer
        self._refuse = refuse

    def methods(self) -> Mapping[str, Method]:
        """What to serve, by path."""
        return {_PATH: self._wait}

    async def _wait(self, call: Call) -> None:
        exchange = self._admission.find(call.headers.get(_EXCHANGE, ""))
        wait = None if exchange is None else await self._wait_for(exchange)
        call.write(b"" if wait is None else b"%d" % wait)

    async def _wait_for(self, exchange: Exchange) -> int | None:
        exchange.waits = True
        try:
            answer = await self._pacer.wait_again(exchange)
        finally:
            exchange.waits = False
        if not isinstance(answer, Refusal):
            return answer
        if self._refuse(exchange.id, answer):
            await asyncio.Event().wait()  # until Envoy ends the call
        return None
