"""The tables, and how a file of an older version becomes one of this version.

A migration is a script that takes a file from one version to the next. Once released it is never changed.
"""

import sqlite3
from typing import Final

_FIRST: Final = """
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    UNIQUE (kind, name, labels)
);

-- What each target's counters stood at when it last answered, and how far its feed was read.
CREATE TABLE target (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    url TEXT NOT NULL UNIQUE,
    looked_at REAL,
    started REAL,
    version TEXT,
    totals BLOB,
    feed_id TEXT NOT NULL DEFAULT '',
    received INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    unknown_gaps INTEGER NOT NULL DEFAULT 0
);

-- Rows of samples: of all targets together by time, and of each by time and target, so that both only ever grow at
-- their end and age at their beginning.
CREATE TABLE fleet_5 (at INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE fleet_60 (at INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE fleet_600 (at INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE fleet_3600 (at INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE target_5 (at INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE target_60 (at INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE target_600 (at INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE target_3600 (at INTEGER PRIMARY KEY, data BLOB NOT NULL);

CREATE TABLE request (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    target INTEGER NOT NULL,
    feed_id TEXT NOT NULL,
    started REAL NOT NULL,
    ended REAL NOT NULL,
    outcome TEXT NOT NULL,
    duration REAL NOT NULL,
    request_id TEXT, client TEXT, session TEXT, agent TEXT, lane TEXT, method TEXT, path TEXT, model TEXT,
    error TEXT, refused TEXT, code TEXT, tokens_are TEXT, running_id TEXT,
    waited REAL, first_byte REAL, cost_usd REAL, credits REAL,
    status INTEGER, request_bytes INTEGER, response_bytes INTEGER, attempts INTEGER,
    input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    UNIQUE (target, feed_id)
);
CREATE INDEX request_ended ON request (ended);

-- The latest end of a request that is no longer kept; no row while all are.
CREATE TABLE forgotten (only INTEGER PRIMARY KEY CHECK (only = 1), ended REAL NOT NULL);

-- Who used what, by the hour; by the day (span 86400) and without session and agent once it is old.
CREATE TABLE usage (
    span INTEGER NOT NULL,
    at INTEGER NOT NULL,
    target INTEGER NOT NULL,
    client TEXT NOT NULL, session TEXT NOT NULL, agent TEXT NOT NULL,
    lane TEXT NOT NULL, model TEXT NOT NULL, path TEXT NOT NULL,
    requests INTEGER NOT NULL, ok INTEGER NOT NULL, failed INTEGER NOT NULL, aborted INTEGER NOT NULL,
    refused INTEGER NOT NULL, retries INTEGER NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    cost_usd REAL NOT NULL, credits REAL NOT NULL,
    request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL, duration REAL NOT NULL,
    wasted_tokens INTEGER NOT NULL, wasted_cost REAL NOT NULL,
    PRIMARY KEY (span, at, target, client, session, agent, lane, model, path)
) WITHOUT ROWID;

CREATE TABLE mark (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    target INTEGER,
    text TEXT NOT NULL
);
CREATE INDEX mark_at ON mark (at);

CREATE TABLE alert (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    alert TEXT NOT NULL,
    state TEXT NOT NULL,
    severity TEXT NOT NULL,
    title TEXT NOT NULL,
    advice TEXT NOT NULL
);
CREATE INDEX alert_at ON alert (at);
"""

# The model that a request asked for, which need not be the one that answered.
_ASKED: Final = """
ALTER TABLE request ADD COLUMN model_asked TEXT;
"""

# The client's program, as its user agent is known.
_PROGRAM: Final = """
ALTER TABLE request ADD COLUMN program TEXT;
"""

MIGRATIONS: Final = (_FIRST, _ASKED, _PROGRAM)

# What people call clients and sessions. `used` is when it was given, or when the client or session last asked.
_NAMES: Final = """
CREATE TABLE IF NOT EXISTS name (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    used REAL NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
"""

# Which programs clients and sessions ask with, and when the first and the last of these requests ended.
_PROGRAMS: Final = """
CREATE TABLE IF NOT EXISTS program (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    program TEXT NOT NULL,
    first REAL NOT NULL,
    last REAL NOT NULL,
    PRIMARY KEY (kind, key, program)
) WITHOUT ROWID;
"""

ADDITIONS: Final = (_NAMES, _PROGRAMS)
"""Tables beside the others, of which a version without them need not know: they make no newer version of the file, so
that it can still be opened by one. Each script says the same however often it is run."""


class NewerSchemaError(Exception):
    """A newer version of the dashboard wrote this file."""


def migrate(connection: sqlite3.Connection, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Brings the file to the newest version, a step at a time, each wholly or not at all. Raises NewerSchemaError."""
    version = schema_version(connection)
    if version > len(migrations):
        raise NewerSchemaError(f"schema version {version}, this program knows {len(migrations)}")
    for number, script in enumerate(migrations[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
    for script in ADDITIONS:
        connection.executescript(script)


def schema_version(connection: sqlite3.Connection) -> int:
    """0 for a new file."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
