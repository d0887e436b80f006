"""The service that Envoy asks before it sends a refused request again: it answers when there is a place for it."""

from collections.abc import Mapping
from typing import Final

from extproc.domain.request.admission import Admission
from extproc.runtime.pacer import Pacer
from extproc.transport.grpc_call import Call, Method

_PATH: Final = "/zai.proxy.Turns/Await"
_EXCHANGE: Final = "x-exchange"


class RetryGate:
    """`/zai.proxy.Turns/Await` with the exchange's id in `x-exchange`; request and answer are empty messages."""

    def __init__(self, admission: Admission, pacer: Pacer) -> None:
        self._admission = admission
        self._pacer = pacer

    def methods(self) -> Mapping[str, Method]:
        """What to serve, by path."""
        return {_PATH: self._wait}

    async def _wait(self, call: Call) -> None:
        exchange = self._admission.find(call.headers.get(_EXCHANGE, ""))
        if exchange is not None:
            exchange.waits = True
            try:
                await self._pacer.wait_again(exchange.id)
            finally:
                exchange.waits = False
        call.write(b"")
