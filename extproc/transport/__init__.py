"""Where the processor meets Envoy and HTTP; the only package that knows gRPC."""

import os

# gRPC's newer listener hands every event on a socket to a thread of a pool; under asyncio, with one process on a Unix
# socket, the older one answers sooner and costs less CPU (docs/performance.md). Read by gRPC when a server is made.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
