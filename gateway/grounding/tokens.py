"""How many tokens a text is for a model, by the model's own tokenizer where it is there, else by the router's estimate.

Counting takes about a millisecond for a long passage and loading a tokenizer up to a second: call from a thread.
"""

import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, Protocol

from tokenizers import Tokenizer

from headrace.contracts.models import ModelCard
from headrace.router.features import text_tokens

NO_MARKERS: Final[frozenset[str]] = frozenset()


class TokenCounter(Protocol):
    """Counts tokens of one model. Safe to share between threads."""

    @property
    def markers(self) -> Collection[str]:
        """The special tokens of the model as text: what no document may hold."""
        ...

    def count(self, text: str) -> int:
        """Return how many tokens the text takes; an estimate errs towards too many."""
        ...


class Estimate:
    """The count of a model whose tokenizer is elsewhere."""

    @property
    def markers(self) -> Collection[str]:
        """None are known."""
        return NO_MARKERS

    def count(self, text: str) -> int:
        """Return the router's estimate."""
        return text_tokens(text)


class OwnTokenizer:
    """Counts with a `tokenizer.json`, which is read when it is first needed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._loaded: Tokenizer | None = None
        self._markers: frozenset[str] = NO_MARKERS

    @property
    def markers(self) -> Collection[str]:
        """The model's special tokens."""
        self._load()
        return self._markers

    def count(self, text: str) -> int:
        """Return the exact count, without what a chat template adds."""
        return len(self._load().encode(text, add_special_tokens=False).ids)

    def _load(self) -> Tokenizer:
        with self._lock:
            if self._loaded is None:
                self._loaded = Tokenizer.from_file(str(self._file))
                added = self._loaded.get_added_tokens_decoder().values()
                self._markers = frozenset(token.content for token in added if token.content.strip())
            return self._loaded


class Tokenizers:
    """The counters of models, each made once. Safe to share between threads.

    file_of: the tokenizer of a model id, None where the model is not in the store.
    """

    def __init__(self, file_of: Callable[[str], Path | None]) -> None:
        self._file_of = file_of
        self._known: dict[str, TokenCounter] = {}

    def of(self, card: ModelCard) -> TokenCounter:
        """Return the counter of a served model, or of the model behind an URL where the store has that one."""
        model = card.upstream or card.id
        found = self._known.get(model)
        if found is None:
            file = self._file_of(model)
            found = self._known[model] = Estimate() if file is None else OwnTokenizer(file)
        return found
