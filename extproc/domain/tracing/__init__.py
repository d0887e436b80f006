"""What is told of a request to a tracing system: which trace it is part of, and which spans it has."""
