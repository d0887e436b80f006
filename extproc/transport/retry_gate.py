"""The service that Envoy asks before it sends a refused request again: it answers when there is a place for it."""

from typing import Final, TypeAlias

import grpc.aio

from extproc.domain.request.admission import Admission
from extproc.runtime.pacer import Pacer

Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]

_EXCHANGE: Final = "x-exchange"


class RetryGate:
    """`/zai.proxy.Turns/Await` with the exchange's id in `x-exchange`; request and answer are empty messages."""

    def __init__(self, admission: Admission, pacer: Pacer) -> None:
        self._admission = admission
        self._pacer = pacer

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to add to a gRPC server."""
        wait: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._wait)
        return grpc.method_handlers_generic_handler("zai.proxy.Turns", {"Await": wait})

    async def _wait(self, _request: bytes, context: Context) -> bytes:
        names = [value for name, value in context.invocation_metadata() or () if name == _EXCHANGE]
        exchange = self._admission.find(str(names[0])) if names else None
        if exchange is not None:
            exchange.waits = True
            try:
                await self._pacer.wait_again(exchange.id)
            finally:
                exchange.waits = False
        return b""
