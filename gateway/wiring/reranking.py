"""The cross-encoder of searches, where the config asks for one: found in the model store, loaded when first needed."""

from typing import Final

from headrace.contracts.errors import StoreError
from headrace.gateway.settings.tree import Settings
from headrace.models.store.store import Store
from headrace.retrieval.search.rerank import CrossEncoder, LazyReranker

RERANKER: Final = "ms-marco-minilm-l-12-v2-int8"


def build_reranker(settings: Settings) -> LazyReranker | None:
    """Return the reranker, None without `retrieval.rerank`; StoreError where the store does not have it."""
    if not settings.retrieval.rerank:
        return None
    store = Store(settings.home)
    if not store.has(RERANKER):
        raise StoreError(f"retrieval.rerank is true, and {RERANKER} is not here; run: headrace models fetch {RERANKER}")
    folder = store.path(RERANKER)
    return LazyReranker(lambda: CrossEncoder(folder))
