"""Where the processor meets Envoy and HTTP; the only package that knows gRPC and protobuf."""
