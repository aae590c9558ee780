"""A home folder with a tiny embedding model in it, under the name of the one that is served by default."""

from pathlib import Path

from headrace.models.store.progress import ignore
from headrace.models.store.store import Store
from tests.support.tiny_embedding import write_model

__all__ = ["EMBEDDER", "publish_embedder"]

EMBEDDER = "all-minilm-l6-v2"


def publish_embedder(home: Path, name: str = EMBEDDER, *, max_tokens: int = 64) -> Path:
    """Put a tiny model into the store of a home folder and return where it lies."""
    store = Store(home)
    with store.scratch(name) as scratch:
        staged = scratch / "staged"
        staged.mkdir()
        write_model(staged, max_tokens=max_tokens)
        return store.publish(name, staged, facts={}, on_progress=ignore)
