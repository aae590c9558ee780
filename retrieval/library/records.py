"""What the library keeps of files, stores, their files and batches. Pure values; times are whole seconds since 1970."""

import secrets
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from headrace.contracts.retrieval import Attributes

Purpose = Literal["assistants", "user_data"]
Status = Literal["in_progress", "completed", "failed", "cancelled"]
ErrorCode = Literal["server_error", "unsupported_file", "invalid_file"]

FILE_PREFIX: Final = "file-"
STORE_PREFIX: Final = "vs_"
BATCH_PREFIX: Final = "vsfb_"
DAY_S: Final = 86_400


class FileRecord(msgspec.Struct, frozen=True):
    """One uploaded file. sha256: names its blob. expires: when it is gone by itself."""

    id: str
    tenant: str
    name: str
    purpose: Purpose
    bytes: int
    sha256: str
    created: int
    expires: int | None = None


class Chunking(msgspec.Struct, frozen=True):
    """How a file is cut: tokens of the embedder in a passage, and how many of them the next one repeats."""

    max_tokens: int = 200
    overlap: int = 40


AUTO: Final = Chunking()


class Counts(msgspec.Struct, frozen=True):
    """Files by status."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.in_progress + self.completed + self.failed + self.cancelled


class StoreRecord(msgspec.Struct, frozen=True):
    """One vector store. expire_days: without use for so long, it expires. bytes: of what it holds."""

    id: str
    tenant: str
    name: str
    description: str
    metadata: Mapping[str, str]
    created: int
    last_active: int
    expire_days: int | None
    counts: Counts
    bytes: int

    @property
    def expires(self) -> int | None:
        """When it expires unless it is used."""
        return None if self.expire_days is None else self.last_active + self.expire_days * DAY_S

    def is_expired(self, now: float) -> bool:
        """Tell whether its time is over."""
        return self.expires is not None and self.expires <= now


class LastError(msgspec.Struct, frozen=True):
    """Why a file could not be ingested, in words for its owner."""

    code: ErrorCode
    message: str


class NewMember(msgspec.Struct, frozen=True):
    """A file that is to be put into a store."""

    file: str
    attributes: Attributes = {}
    chunking: Chunking = AUTO


class MemberRecord(msgspec.Struct, frozen=True):
    """A file in a store. bytes: what its passages take there."""

    store: str
    file: str
    batch: str | None
    status: Status
    error: LastError | None
    attributes: Attributes
    chunking: Chunking
    bytes: int
    created: int


class BatchRecord(msgspec.Struct, frozen=True):
    """Files that were put into a store by one request."""

    id: str
    store: str
    created: int
    is_cancelled: bool
    counts: Counts

    @property
    def status(self) -> Status:
        """What became of the batch as a whole: failed only where nothing came of any file."""
        if self.counts.in_progress:
            return "in_progress"
        if self.is_cancelled:
            return "cancelled"
        return "failed" if self.counts.failed and self.counts.failed == self.counts.total else "completed"


class Work(msgspec.Struct, frozen=True):
    """One file that waits to be ingested. turn: tells this attempt from one that a later request began."""

    turn: int
    store: str
    file: FileRecord
    attributes: Attributes
    chunking: Chunking


class Leaving(msgspec.Struct, frozen=True):
    """One file that is on its way out of a store."""

    turn: int
    store: str
    file: str


def new_id(prefix: str) -> str:
    """Return an id that nobody guesses: 128 random bits behind its prefix."""
    return prefix + secrets.token_hex(16)
