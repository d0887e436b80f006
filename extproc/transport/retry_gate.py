"""The service that Envoy asks before it sends a refused request again: it answers when there is a place for it."""

from collections.abc import Mapping
from typing import Final

from extproc.domain.request.admission import Admission
from extproc.runtime.pacer import Pacer
from extproc.transport.grpc_call import Call, Method

_PATH: Final = "/zai.proxy.Turns/Await"
_EXCHANGE: Final = "x-exchange"


class RetryGate:
    """`/zai.proxy.Turns/Await` with the exchange's id in `x-exchange`. The request is an empty message; the answer has
    the whole seconds after which the client may come back if it is refused again, or is empty if nobody knows."""

    def __init__(self, admission: Admission, pacer: Pacer) -> None:
        self._admission = admission
        self._pacer = pacer

    def methods(self) -> Mapping[str, Method]:
        """What to serve, by path."""
        return {_PATH: self._wait}

    async def _wait(self, call: Call) -> None:
        wait: int | None = None
        exchange = self._admission.find(call.headers.get(_EXCHANGE, ""))
        if exchange is not None:
            exchange.waits = True
            try:
                wait = await self._pacer.wait_again(exchange.id)
            finally:
                exchange.waits = False
        call.write(b"" if wait is None else b"%d" % wait)
