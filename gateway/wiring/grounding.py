"""What answers requests from documents, built from what the process has: the retriever and the store's tokenizers."""

from collections.abc import Callable
from pathlib import Path

from headrace.contracts.protocols import DifficultyModel
from headrace.contracts.retrieval import Retriever
from headrace.gateway.grounding.grounder import Grounder, Metered
from headrace.gateway.grounding.tokens import Tokenizers
from headrace.models.catalog.catalogue import Catalogue
from headrace.models.store.store import Store


def build_grounder(
    retriever: Retriever | None,
    *,
    difficulty: DifficultyModel,
    home: Path,
    metrics: Metered,
    clock: Callable[[], float],
) -> Grounder:
    """Return the grounder; without a retriever it refuses what asks for documents."""
    return Grounder(
        retriever,
        difficulty=difficulty,
        tokenizers=Tokenizers(lambda model: tokenizer_file(home, model)),
        metrics=metrics,
        clock=clock,
    )


def tokenizer_file(home: Path, model: str) -> Path | None:
    """Return the tokenizer of a catalogue model that the store has, None for any other."""
    store = Store(home)
    if model not in Catalogue.packaged().ids() or not store.has(model):
        return None
    file = store.path(model) / "tokenizer.json"
    return file if file.exists() else None
