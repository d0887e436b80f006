"""The decisions of the domain, run: with clocks, files, sockets and tasks, but without gRPC."""
