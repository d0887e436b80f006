"""The server: from a request that arrives to its entry in the journal."""
