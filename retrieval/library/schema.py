"""The catalogue's tables, as steps from one version to the next. A step that has been released never changes.

`leaving` rows are on their way out: hidden from everybody, and removed once the index and the disk have let go.
`turn` changes whenever a file is put into a store again, so that a late result of an earlier attempt is dropped.
`gone` remembers where in a list a removed object stood, for clients that page while they delete.
"""

from typing import Final

FIRST: Final = (
    """
    CREATE TABLE files (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        purpose TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER,
        leaving INTEGER NOT NULL DEFAULT 0
    ) STRICT
    """,
    "CREATE INDEX files_by_tenant ON files (tenant, seq)",
    "CREATE INDEX files_by_blob ON files (sha256)",
    "CREATE INDEX files_that_expire ON files (expires) WHERE expires IS NOT NULL",
    """
    CREATE TABLE stores (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        metadata TEXT NOT NULL,
        created INTEGER NOT NULL,
        last_active INTEGER NOT NULL,
        expire_days INTEGER,
        leaving INTEGER NOT NULL DEFAULT 0
    ) STRICT
    """,
    "CREATE INDEX stores_by_tenant ON stores (tenant, seq)",
    """
    CREATE TABLE batches (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        store TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
        created INTEGER NOT NULL,
        cancelled INTEGER NOT NULL DEFAULT 0
    ) STRICT
    """,
    "CREATE INDEX batches_by_store ON batches (store)",
    """
    CREATE TABLE members (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        store TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
        file TEXT NOT NULL REFERENCES files (id),
        batch TEXT REFERENCES batches (id) ON DELETE SET NULL,
        turn INTEGER NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('in_progress', 'completed', 'failed', 'cancelled', 'leaving')),
        error_code TEXT,
        error_message TEXT,
        attributes TEXT NOT NULL,
        max_tokens INTEGER NOT NULL,
        overlap INTEGER NOT NULL,
        bytes INTEGER NOT NULL DEFAULT 0,
        created INTEGER NOT NULL,
        UNIQUE (store, file)
    ) STRICT
    """,
    "CREATE INDEX members_by_status ON members (store, status)",
    "CREATE INDEX members_by_file ON members (file)",
    "CREATE INDEX members_by_batch ON members (batch) WHERE batch IS NOT NULL",
    "CREATE INDEX members_that_wait ON members (seq) WHERE status = 'in_progress'",
    "CREATE INDEX members_that_leave ON members (seq) WHERE status = 'leaving'",
    """
    CREATE TABLE gone (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX gone_by_age ON gone (at)",
)

STEPS: Final = (FIRST,)
