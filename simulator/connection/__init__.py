"""How an answer goes out: as steps on a connection, with the faults of its scenario."""
