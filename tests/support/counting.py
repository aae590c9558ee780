"""Tokenizers for tests: one that counts words, and one that counts bytes, each through the shipped Tokens."""

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors

from headrace.retrieval.chunk.tokens import Tokens

__all__ = ["byte_tokens", "word_tokens", "write_word_tokens"]


def word_tokens(max_tokens: int = 256) -> Tokens:
    """Count words and punctuation marks; however long a word is, it is one token."""
    return Tokens(_words(), max_tokens)


def write_word_tokens(folder: Path, max_tokens: int = 256) -> Path:
    """Write what of an embedding model counts tokens, as `word_tokens` does."""
    (folder / "tokenizer.json").write_text(_words().to_str())
    (folder / "embedding.json").write_text(f'{{"max_tokens": {max_tokens}, "dimensions": 4}}')
    return folder


def _words() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return tokenizer


def byte_tokens(max_tokens: int = 256) -> Tokens:
    """Count bytes: a character may be four tokens, and a blank is one too."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: place for place, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return Tokens(tokenizer, max_tokens)
