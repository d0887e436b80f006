"""What stops a benchmark."""


class BenchError(RuntimeError):
    """The measurement cannot be made, or would mean nothing. The message is one line for a person."""
