"""The plan behind a key: its limits, models and keys, and what the account's monitor shows of it. Pure."""
