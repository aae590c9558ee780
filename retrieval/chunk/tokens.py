"""Counts tokens as the embedder does. Reads the embedder's tokenizer, nothing of its weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import msgspec
import tokenizers

from headrace.contracts.errors import StoreError


class Tokenizer(Protocol):
    """Counts a text's tokens. Safe to share between threads."""

    @property
    def window(self) -> int:
        """The most tokens of text that the embedder takes at once, its own first and last ones not among them."""
        ...

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without the embedder's own first and last ones."""
        ...


class Tokens:
    """The tokenizer of an embedding model's folder (`tokenizer.json`, `embedding.json`)."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, max_tokens: int) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.window = max_tokens - len(tokenizer.encode("").ids)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the tokenizer of a stored embedding model; StoreError where it is incomplete."""
        try:
            shape = msgspec.json.decode((folder / "embedding.json").read_bytes(), type=dict[str, object])
            tokenizer = tokenizers.Tokenizer.from_buffer((folder / "tokenizer.json").read_bytes())
            max_tokens = msgspec.convert(shape.get("max_tokens"), int)
        except (OSError, ValueError, msgspec.MsgspecError) as exc:
            raise StoreError(f"embedding model in {folder.name!r} is incomplete; fetch it again") from exc
        return cls(tokenizer, max_tokens)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        return [len(found.ids) for found in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
