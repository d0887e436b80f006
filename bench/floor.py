"""The floor of the design: a processor that grants every request with the same prebuilt bytes and does nothing else.

What the proxy costs above this is its own; what this costs above a bare Envoy is the price of asking a Python process
at all. It also takes in and throws away an access log, for the measurement of our Envoy filters alone.
"""

import asyncio
import sys
from typing import TypeAlias

import grpc.aio
import uvloop

from extproc.domain.request.routes import CredentialForm
from extproc.transport import wire

Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]

_GRANT = wire.admission_mutation(CredentialForm.X_API_KEY, "of-nobody") + wire.metadata(
    {"id": "bench-1", "path": "/v1/messages", "source": "source-00"}
)


async def process(_requests: object, context: Context) -> None:
    """One HTTP request: grants it and stays until it ends."""
    await context.read()
    await context.write(_GRANT)
    await context.read()


async def stream_access_logs(_requests: object, context: Context) -> bytes:
    """Takes in the access log unread."""
    while isinstance(await context.read(), bytes):
        pass
    return b""


def handlers() -> tuple[grpc.GenericRpcHandler, ...]:
    """The two services of a processor, without any decoding."""
    processing: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(process)
    logging: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_unary_rpc_method_handler(stream_access_logs)
    return (
        grpc.method_handlers_generic_handler("envoy.service.ext_proc.v3.ExternalProcessor", {"Process": processing}),
        grpc.method_handlers_generic_handler(
            "envoy.service.accesslog.v3.AccessLogService", {"StreamAccessLogs": logging}
        ),
    )


async def serve(socket: str) -> None:
    """Serves on the Unix socket until the process is ended."""
    server = grpc.aio.server(options=(("grpc.max_concurrent_streams", 100_000),))
    server.add_generic_rpc_handlers(handlers())
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
