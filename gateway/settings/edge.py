"""The config file's shape as strict Pydantic models; the published JSON Schema is made from them.

Shape only: words, numbers and their bounds. What the words refer to is checked in build.py and by the router.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from headrace.contracts.models import Capability
from headrace.gateway.settings.conditions import CONDITION_SCHEMA
from headrace.gateway.settings.edge_strategies import STRATEGIES
from headrace.gateway.settings.shapes import Edge, Name, Seconds, Url, UrlOrMemory, Usd


class ServerEdge(Edge):
    """Where the gateway listens and how much it takes."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    max_body_bytes: int = Field(default=20_000_000, ge=1_024, le=1_000_000_000)
    max_json_depth: int = Field(default=64, ge=8, le=256)
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    trusted_hosts: list[str] = Field(default_factory=list, max_length=64)


class PriceEdge(Edge):
    """USD per million tokens."""

    input_usd_per_mtok: Usd
    output_usd_per_mtok: Usd


_MOST_LAYERS: Final = 1_000


def _sparse(said: object) -> object:
    if said == "sparse":
        return {}
    if isinstance(said, str):
        msg = "write sparse, or a mapping such as {budget: 4096}"
        raise ValueError(msg)  # noqa: TRY004  (what pydantic turns into a problem of the file)
    return said


_Layer = Annotated[int, Field(ge=0, le=_MOST_LAYERS)]


def _layers(said: object) -> object:
    several = said if isinstance(said, list) else [said]
    if said is None or all(
        isinstance(each, int) and not isinstance(each, bool) and 0 <= each <= _MOST_LAYERS for each in several
    ):
        return said
    msg = "write how many first layers, or a list of layers counted from 0, such as [7, 18]"
    raise ValueError(msg)


class SparseAttentionEdge(Edge):
    """Sparse attention with other bounds than its own; in tokens but for the last two."""

    budget: int | None = Field(default=None, ge=64, le=10_000_000)
    sink: int | None = Field(default=None, ge=0, le=1_000_000)
    local: int | None = Field(default=None, ge=0, le=1_000_000)
    min_tokens: int | None = Field(default=None, ge=0, le=100_000_000)
    min_query: int | None = Field(default=None, ge=0, le=100_000_000)
    method: Literal["mean", "minmax"] | None = None
    dense_layers: Annotated[_Layer | list[_Layer] | None, BeforeValidator(_layers)] = None


class BackendEdge(Edge):
    """Either `engine` and a catalogue id, or `urls` and what the model behind them is."""

    engine: Literal["vllm"] | None = None
    model: Name
    urls: list[Url] | None = Field(default=None, min_length=1, max_length=64)
    api_key: str | None = Field(default=None, min_length=1, max_length=4096)
    capabilities: list[Capability] | None = None
    context_tokens: int | None = Field(default=None, ge=128, le=100_000_000)
    price: PriceEdge | None = None
    threads: int | None = Field(default=None, ge=1, le=1024)
    kv_cache_bytes: int | None = Field(default=None, ge=16_000_000, le=10**13)
    eager: bool | None = None
    attention: Annotated[
        SparseAttentionEdge | None,
        BeforeValidator(_sparse, json_schema_input_type=Literal["sparse"] | SparseAttentionEdge | None),
    ] = None
    moe: Literal["headrace"] | None = None
    quantization: Literal["int8", "int4"] | None = None


class TierEdge(Edge):
    """Backends of one price level."""

    id: Name
    default: Name
    specialists: dict[str, Name] = Field(default_factory=dict, max_length=64)
    concurrency: int = Field(default=16, ge=1, le=100_000)
    queue: int = Field(default=64, ge=0, le=100_000)


class RuleEdge(Edge):
    """One rule; `when` and `use` are parsed on their own (conditions.py, strategies.py)."""

    id: Name
    when: Any = None
    use: Any
    judged: bool = True


class ProbeEdge(Edge):
    """The streaming commit point."""

    tokens: int = Field(default=32, ge=1, le=4096)
    s: Seconds = 1.5
    on_uncertain: Literal["escalate", "commit"] = "escalate"


class LowConfidenceEdge(Edge):
    """What to do with an answer that is not good enough."""

    probe: ProbeEdge = ProbeEdge()
    max_risk: float = Field(ge=0, le=1)
    then: list[Name] = Field(min_length=1, max_length=16)


class FailureRuleEdge(Edge):
    """What to do when an attempt breaks."""

    id: Name
    errors: list[str] = Field(min_length=1, max_length=32)
    retries: int = Field(default=0, ge=0, le=10)
    then: list[Name] = Field(default_factory=list, max_length=16)


class LimitsEdge(Edge):
    """Bounds over the whole chain of one request."""

    max_attempts: int = Field(default=3, ge=1, le=32)
    deadline_s: Seconds = 60.0
    max_cost_usd: Usd | None = None


class AffinityEdge(Edge):
    """Keep a conversation on its tier."""

    key: Literal["conversation", "user", "none"] = "none"
    switch_margin: float = Field(default=0.1, ge=0, le=1)


class ShadowEdge(Edge):
    """Ask another tier too, for a share of the conversations, without the client waiting."""

    to: Name
    share: float = Field(gt=0, le=1)
    max_in_flight: int = Field(default=4, ge=1, le=1_000)


class RetrieveEdge(Edge):
    """Answer from documents: collections of one tenant, and how they are searched."""

    collection: Name | Annotated[list[Name], Field(min_length=1, max_length=16)]
    tenant: Name = "default"
    k: int = Field(default=5, ge=1, le=50)
    min_score: float = Field(default=0.0, ge=0, le=1)
    when: Literal["always", "model", "auto"] = "always"
    when_unsupported: Literal["answer", "refuse", "escalate"] = "answer"
    min_support: float = Field(default=0.3, ge=0, le=1)
    on_error: Literal["fail", "answer"] = "fail"
    max_searches: int = Field(default=3, ge=1, le=10)
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0


class VirtualModelEdge(Edge):
    """A name that clients use."""

    select: list[RuleEdge] = Field(min_length=1, max_length=256)
    on_low_confidence: LowConfidenceEdge | None = None
    on_failure: list[FailureRuleEdge] = Field(default_factory=list, max_length=64)
    limits: LimitsEdge = LimitsEdge()
    affinity: AffinityEdge = AffinityEdge()
    shadow: ShadowEdge | None = None
    retrieve: RetrieveEdge | None = None


class EmbeddingsEdge(Edge):
    """The model behind POST /v1/embeddings; without this section there is none."""

    model: Name


class LedgerEdge(Edge):
    """Where the records go, how large they grow, and which client-given names may be in them."""

    folder: str | None = None
    rotate_bytes: int = Field(default=64_000_000, ge=65_536, le=10**11)
    keep_files: int = Field(default=8, ge=1, le=10_000)
    flush_s: Annotated[float, Field(ge=0.01, le=60)] = 0.2
    fsync: bool = False
    queue_records: int = Field(default=20_000, ge=16, le=1_000_000)
    headers: list[str] = Field(default_factory=list, max_length=32)
    metadata: list[str] = Field(default_factory=list, max_length=32)


class TelemetryEdge(Edge):
    """What leaves the process besides answers."""

    otlp_endpoint: Url | None = None
    request_log: bool = True


class IndexEdge(Edge):
    """What keeps and searches the passages of vector stores."""

    engine: Literal["faiss", "qdrant"] = "faiss"
    kind: Literal["flat", "ivf", "hnsw"] | None = None
    url: UrlOrMemory | None = None
    api_key: str | None = Field(default=None, min_length=1, max_length=4096)


class RetrievalEdge(Edge):
    """Uploaded files and vector stores: where they are kept and how much of them."""

    folder: str | None = None
    max_file_bytes: int = Field(default=512_000_000, ge=1_024, le=10**11)
    max_tenant_bytes: int = Field(default=10_000_000_000, ge=1_024, le=10**15)
    max_store_files: int = Field(default=10_000, ge=1, le=1_000_000)
    ingest_workers: int = Field(default=2, ge=1, le=64)
    rerank: bool = False
    index: IndexEdge = IndexEdge()


class ConfigEdge(Edge):
    """A whole config file."""

    version: Literal[1]
    server: ServerEdge = ServerEdge()
    backends: dict[Name, BackendEdge] = Field(min_length=1, max_length=256)
    tiers: list[TierEdge] = Field(min_length=1, max_length=64)
    virtual_models: dict[Name, VirtualModelEdge] = Field(min_length=1, max_length=256)
    aliases: dict[str, Name] = Field(default_factory=dict, max_length=1024)
    keys_file: str | None = None
    embeddings: EmbeddingsEdge | None = None
    ledger: LedgerEdge = LedgerEdge()
    telemetry: TelemetryEdge = TelemetryEdge()
    retrieval: RetrievalEdge = RetrievalEdge()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a config file, for editors and for the published copy."""
    schema = ConfigEdge.model_json_schema()
    schema["$defs"]["Condition"] = CONDITION_SCHEMA
    rule = schema["$defs"]["RuleEdge"]["properties"]
    rule["when"] = {"$ref": "#/$defs/Condition"}
    rule["use"] = {
        "anyOf": [{"type": "string"}, *({"$ref": f"#/$defs/{edge.__name__}"} for edge in STRATEGIES.values())]
    }
    schema["$defs"].update({edge.__name__: edge.model_json_schema() for edge in STRATEGIES.values()})
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "headrace config"
    return schema
