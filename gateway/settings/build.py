"""From checked edge models to the frozen tree's parts: backends with their cards, and the routing policy."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, Protocol

from headrace.contracts.models import ModelCard, Price
from headrace.contracts.policy import (
    Affinity,
    Condition,
    FailureRule,
    Limits,
    LowConfidence,
    Policy,
    Probe,
    Retrieve,
    Rule,
    Shadow,
    Tier,
    Use,
    VirtualModel,
)
from headrace.gateway.settings.edge import (
    BackendEdge,
    ConfigEdge,
    LimitsEdge,
    PriceEdge,
    RetrievalEdge,
    RetrieveEdge,
    VirtualModelEdge,
)
from headrace.gateway.settings.problems import Keys, Report, nearest
from headrace.gateway.settings.shapes import microusd
from headrace.gateway.settings.tree import (
    EngineBackend,
    IndexSettings,
    KernelSettings,
    RetrievalSettings,
    UrlBackend,
)

_ENGINE_ONLY: Final = ("threads", "kv_cache_bytes", "eager", "attention", "moe", "quantization")
# The plug-in's own defaults, which a test holds equal to kernels/vllm_plugin/options.py.
_SPARSE_DEFAULTS: Final = {"budget": 4096, "sink": 128, "local": 1024}
_URL_NEEDS: Final = ("capabilities", "context_tokens", "price")


class HasCard(Protocol):
    """A catalogue entry, as far as settings read it. `price` is None for one that is never served (a reference)."""

    @property
    def price(self) -> Price | None:
        """What it costs."""
        ...

    @property
    def card(self) -> ModelCard:
        """What the model can do and costs."""
        ...


class Cards(Protocol):
    """The catalogue, as far as settings read it."""

    def get(self, model_id: str, /) -> HasCard:
        """Return the entry; a HeadraceError for an unknown id."""
        ...

    def ids(self) -> Sequence[str]:
        """Every id."""
        ...


def build_backends(
    edges: Mapping[str, BackendEdge], catalogue: Cards, report: Report
) -> dict[str, EngineBackend | UrlBackend]:
    """Return every backend that is whole; the others are reported."""
    built: dict[str, EngineBackend | UrlBackend] = {}
    for name, edge in edges.items():
        path: Keys = ("backends", name)
        if (edge.engine is None) == (edge.urls is None):
            report(path, "a backend has either `engine` or `urls`", "write engine: vllm, or urls: [http://...]")
            continue
        backend = _engine(name, edge, catalogue, report) if edge.urls is None else _url(name, edge, catalogue, report)
        if backend is not None:
            built[name] = backend
    return built


def card_of(catalogue: Cards, model_id: str) -> ModelCard | None:
    """Return the catalogue's card, or None for an id that it does not know or that is not served."""
    if model_id not in catalogue.ids():
        return None
    entry = catalogue.get(model_id)
    return None if entry.price is None else entry.card


def served_ids(catalogue: Cards) -> list[str]:
    """Return every id that can be named in a config."""
    return [name for name in catalogue.ids() if catalogue.get(name).price is not None]


def build_policy(
    edge: ConfigEdge,
    conditions: Mapping[Keys, Condition],
    uses: Mapping[Keys, Use],
    cards: Mapping[str, ModelCard],
    revision: str,
) -> Policy:
    """Return the policy; `conditions` and `uses` hold the parsed `when` and `use` of each rule by its path."""
    tiers = tuple(
        Tier(tier.id, tier.default, dict(tier.specialists), tier.concurrency, tier.queue) for tier in edge.tiers
    )
    models = {name: _virtual_model(name, model, conditions, uses) for name, model in edge.virtual_models.items()}
    return Policy(revision, tiers, models, dict(cards), dict(edge.aliases))


def build_retrieval(edge: RetrievalEdge, *, beside: Path, home: Path, report: Report) -> RetrievalSettings:
    """Return where files and vector stores are kept; a relative folder counts from `beside`."""
    index, path = edge.index, ("retrieval", "index")
    if index.engine == "qdrant" and index.url is None:
        report(path, "`engine: qdrant` needs the address of its server", "write url: http://127.0.0.1:6333")
    if index.engine == "qdrant" and index.kind is not None:
        report((*path, "kind"), "Qdrant chooses its own kind of index", "remove kind, or write engine: faiss")
    for word in ("url", "api_key"):
        if index.engine == "faiss" and getattr(index, word) is not None:
            report((*path, word), "FAISS keeps its files in the folder", f"remove {word}, or write engine: qdrant")
    return RetrievalSettings(
        folder=home / "retrieval" if edge.folder is None else beside / Path(edge.folder).expanduser(),
        max_file_bytes=edge.max_file_bytes,
        max_tenant_bytes=edge.max_tenant_bytes,
        max_store_files=edge.max_store_files,
        ingest_workers=edge.ingest_workers,
        rerank=edge.rerank,
        index=IndexSettings(index.engine, index.url, index.api_key, index.kind),
    )


def _engine(name: str, edge: BackendEdge, catalogue: Cards, report: Report) -> EngineBackend | None:
    path: Keys = ("backends", name)
    if edge.api_key is not None:
        report((*path, "api_key"), "an engine's key is made by headrace", "remove api_key")
    card = card_of(catalogue, edge.model)
    if card is None:
        report(
            (*path, "model"), f"no catalogue model {edge.model!r} is served", nearest(edge.model, served_ids(catalogue))
        )
        return None
    if edge.context_tokens is not None and edge.context_tokens > card.context_tokens:
        what = f"the model's context is {card.context_tokens} tokens"
        report((*path, "context_tokens"), what, "write a smaller number or remove it")
    return EngineBackend(
        id=name,
        model=edge.model,
        card=_override(card, edge),
        threads=edge.threads,
        kv_cache_bytes=edge.kv_cache_bytes,
        eager=edge.eager is not False,
        kernels=_kernels(path, edge, report),
    )


def _kernels(path: Keys, edge: BackendEdge, report: Report) -> KernelSettings | None:
    """Return which kernels the engine is asked to use, None where the file names none."""
    if edge.quantization is not None and edge.moe is None:
        what = "experts are quantized by headrace's own kernels"
        report((*path, "quantization"), what, "write moe: headrace beside it, or remove quantization")
    if edge.attention is None and edge.moe is None:
        return None
    options = None if edge.attention is None else edge.attention.model_dump(exclude_none=True)
    if options is not None:
        _check_budget((*path, "attention"), options, report)
    return KernelSettings(options, has_moe=edge.moe is not None, quantization=edge.quantization)


def _check_budget(path: Keys, options: Mapping[str, int], report: Report) -> None:
    kept = {name: options.get(name, default) for name, default in _SPARSE_DEFAULTS.items()}
    if kept["sink"] + kept["local"] > kept["budget"]:
        what = f"sink {kept['sink']} and local {kept['local']} do not fit in a budget of {kept['budget']} tokens"
        report(path, what, "raise budget, or lower sink or local")


def _url(name: str, edge: BackendEdge, catalogue: Cards, report: Report) -> UrlBackend | None:
    path: Keys = ("backends", name)
    for word in _ENGINE_ONLY:
        if getattr(edge, word) is not None:
            report((*path, word), "this is for engines that headrace starts", f"remove {word}")
    known = card_of(catalogue, edge.model)
    missing = [word for word in _URL_NEEDS if getattr(edge, word) is None] if known is None else []
    for word in missing:
        what = f"{word} is not known for {edge.model!r}, which is not in the catalogue"
        report(path, what, f"write {word}: {_example(word)}")
    if missing:
        return None
    base = known or ModelCard(name, 0, frozenset(), Price(Decimal(0), Decimal(0)))
    named = ModelCard(name, base.context_tokens, base.capabilities, base.price, base.family, upstream=edge.model)
    card = _override(named, edge)
    return UrlBackend(id=name, model=edge.model, card=card, urls=tuple(edge.urls or ()), api_key=edge.api_key)


def _example(word: str) -> str:
    if word == "price":
        return "{input_usd_per_mtok: 0.60, output_usd_per_mtok: 1.80}"
    return "[stream, tools]" if word == "capabilities" else "32768"


def _override(card: ModelCard, edge: BackendEdge) -> ModelCard:
    return ModelCard(
        id=card.id,
        context_tokens=edge.context_tokens or card.context_tokens,
        capabilities=card.capabilities if edge.capabilities is None else frozenset(edge.capabilities),
        price=card.price if edge.price is None else _price(edge.price),
        family=card.family,
        parameters=card.parameters,
        license=card.license,
        upstream=card.upstream,
    )


def _price(edge: PriceEdge) -> Price:
    return Price(edge.input_usd_per_mtok, edge.output_usd_per_mtok)


def _virtual_model(
    name: str, edge: VirtualModelEdge, conditions: Mapping[Keys, Condition], uses: Mapping[Keys, Use]
) -> VirtualModel:
    here: Keys = ("virtual_models", name, "select")
    rules = tuple(
        Rule(rule.id, conditions.get((*here, index, "when")), uses[*here, index, "use"], rule.judged)
        for index, rule in enumerate(edge.select)
    )
    low = edge.on_low_confidence
    failures = tuple(
        FailureRule(rule.id, tuple(rule.errors), rule.retries, tuple(rule.then)) for rule in edge.on_failure
    )
    return VirtualModel(
        name=name,
        select=rules,
        on_low_confidence=None
        if low is None
        else LowConfidence(
            probe=Probe(low.probe.tokens, low.probe.s, low.probe.on_uncertain),
            max_risk=low.max_risk,
            then=tuple(low.then),
        ),
        on_failure=failures,
        limits=_limits(edge.limits),
        affinity=Affinity(edge.affinity.key, edge.affinity.switch_margin),
        shadow=None if edge.shadow is None else Shadow(edge.shadow.to, edge.shadow.share, edge.shadow.max_in_flight),
        retrieve=None if edge.retrieve is None else _retrieve(edge.retrieve),
    )


def _retrieve(edge: RetrieveEdge) -> Retrieve:
    named = edge.model_dump(exclude={"collection"})
    collections = (edge.collection,) if isinstance(edge.collection, str) else tuple(dict.fromkeys(edge.collection))
    return Retrieve(collections=collections, **named)


def _limits(edge: LimitsEdge) -> Limits:
    usd = edge.max_cost_usd
    return Limits(edge.max_attempts, edge.deadline_s, None if usd is None else microusd(usd))
