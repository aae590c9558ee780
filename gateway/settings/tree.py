"""The settings tree that the whole gateway is built from: frozen, validated, complete. Safe to share between tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from headrace.contracts.models import ModelCard
from headrace.contracts.policy import Policy


@dataclass(frozen=True, slots=True)
class Server:
    """Where the gateway listens and how much it takes. trusted_hosts empty = any Host header."""

    host: str
    port: int
    max_body_bytes: int
    max_json_depth: int
    drain_s: float
    trusted_hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KernelSettings:
    """Which of headrace's kernels an engine is asked to use.

    attention: the options of sparse attention that the file fixes, None where it is off. quantization: of the experts.
    """

    attention: Mapping[str, int | str | list[int]] | None = None
    has_moe: bool = False
    quantization: Literal["int8", "int4"] | None = None


@dataclass(frozen=True, slots=True)
class EngineBackend:
    """A catalogue model that headrace serves itself; None leaves the choice to what the host has.

    kernels: None leaves attention and experts to vLLM.
    """

    id: str
    model: str
    card: ModelCard
    threads: int | None
    kv_cache_bytes: int | None
    eager: bool
    kernels: KernelSettings | None = None


@dataclass(frozen=True, slots=True)
class UrlBackend:
    """One or several OpenAI-compatible endpoints of one model. `model` is the name they know it by."""

    id: str
    model: str
    card: ModelCard
    urls: tuple[str, ...]
    api_key: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One issued key: its public id, the keyed digest of its text, and what it may do."""

    id: str
    digest: bytes = field(repr=False)
    tenant: str
    scopes: frozenset[str]
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """Every key the operator issued. `issued` comes from keys_file, `plain` from HEADRACE_API_KEYS."""

    issued: tuple[KeyEntry, ...] = ()
    plain: tuple[str, ...] = field(default=(), repr=False)

    @property
    def are_on(self) -> bool:
        """True when callers must show a key."""
        return bool(self.issued or self.plain)


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Where records go. headers and metadata: the only client-given names (lower case) that may be in a record."""

    folder: Path
    rotate_bytes: int
    keep_files: int
    flush_s: float
    fsync: bool
    queue_records: int
    headers: frozenset[str]
    metadata: frozenset[str]


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """What leaves the process besides answers."""

    otlp_endpoint: str | None
    request_log: bool


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What keeps and searches passages: FAISS in the folder, or a Qdrant server at a URL.

    kind: of the FAISS index, None chooses by size. url ":memory:": an embedded Qdrant.
    """

    engine: Literal["faiss", "qdrant"]
    url: str | None
    api_key: str | None = field(default=None, repr=False)
    kind: Literal["flat", "ivf", "hnsw"] | None = None


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """Where uploaded files and vector stores are kept, how much of them, and how many are ingested at once.

    rerank: whether a cross-encoder reads the best passages of a search.
    """

    folder: Path
    max_file_bytes: int
    max_tenant_bytes: int
    max_store_files: int
    ingest_workers: int
    rerank: bool
    index: IndexSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """One config file, checked. `watched` are the files whose change asks for a reload.

    revision: short hash over the config file and the keys file; policy.revision is the same word.
    """

    source: Path
    revision: str
    home: Path
    server: Server
    backends: Mapping[str, EngineBackend | UrlBackend]
    policy: Policy
    embeddings: str | None
    keys: Keys
    ledger: LedgerSettings
    telemetry: TelemetrySettings
    retrieval: RetrievalSettings
    watched: tuple[Path, ...]

    @property
    def engines(self) -> tuple[EngineBackend, ...]:
        """The backends that headrace starts and watches itself."""
        return tuple(backend for backend in self.backends.values() if isinstance(backend, EngineBackend))

    @property
    def urls(self) -> tuple[UrlBackend, ...]:
        """The backends that run elsewhere."""
        return tuple(backend for backend in self.backends.values() if isinstance(backend, UrlBackend))
