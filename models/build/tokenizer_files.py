"""The tokenizer of a served folder, from the vocabulary and merges that a GGUF file carries.

Byte-level BPE only. What GGUF names with one word (`tokenizer.ggml.pre`) is a small pipeline in tokenizer.json; each
known word stands in `_SPLITTERS`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from headrace.contracts.errors import StoreError
from headrace.models.build.gguf_file import GgufFile

_CONTROL: Final = 3
_USER_DEFINED: Final = 4
_UNUSED: Final = 5

_QWEN2_WORDS: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BYTE_LEVEL: Final = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
_SPLITTERS: Final[Mapping[str, tuple[dict[str, Any] | None, list[dict[str, Any]]]]] = {
    "qwen2": (
        {"type": "NFC"},
        [
            {"type": "Split", "pattern": {"Regex": _QWEN2_WORDS}, "behavior": "Isolated", "invert": False},
            {**_BYTE_LEVEL, "use_regex": False},
        ],
    ),
    "smollm": (None, [{"type": "Digits", "individual_digits": True}, {**_BYTE_LEVEL, "use_regex": True}]),
}


def tokenizer_files(source: GgufFile, *, template_edits: Mapping[str, str]) -> dict[str, str]:
    """Return name -> text of tokenizer.json, tokenizer_config.json, chat_template.jinja and generation_config.json.

    `template_edits` are the catalogue's corrections of the chat template: old text -> new text, each found exactly.
    """
    metadata = source.metadata
    eos = metadata["tokenizer.ggml.eos_token_id"]
    ends = sorted({eos, *(t for t in [metadata.get("tokenizer.ggml.padding_token_id")] if t is not None)})
    return {
        "tokenizer.json": json.dumps(tokenizer_json(metadata, source.path.name), ensure_ascii=False),
        "tokenizer_config.json": json.dumps(_tokenizer_config(metadata), indent=1, ensure_ascii=False),
        "chat_template.jinja": _chat_template(metadata, source.path.name, template_edits),
        "generation_config.json": json.dumps({"eos_token_id": [eos, *(e for e in ends if e != eos)]}),
    }


def tokenizer_json(metadata: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return the tokenizers library's own description of the file's tokenizer."""
    splitter = str(metadata.get("tokenizer.ggml.pre"))
    if metadata.get("tokenizer.ggml.model") != "gpt2" or splitter not in _SPLITTERS:
        raise StoreError(f"{origin}: tokenizer {splitter!r} cannot be imported; known: {[*_SPLITTERS]}")
    normalizer, steps = _SPLITTERS[splitter]
    tokens, kinds = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    rows = [(index, token, kind) for index, (token, kind) in enumerate(zip(tokens, kinds, strict=True))]
    added = [
        {
            "id": index, "content": token, "special": kind == _CONTROL,
            "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
        }
        for index, token, kind in rows if kind in {_CONTROL, _USER_DEFINED}
    ]  # fmt: skip
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": {**_BYTE_LEVEL, "use_regex": False},
        "decoder": {**_BYTE_LEVEL, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {token: index for index, token, kind in rows if kind != _UNUSED},
            "merges": [merge.split(" ") for merge in metadata["tokenizer.ggml.merges"]],
        },
    }  # fmt: skip


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write each text into the folder as UTF-8."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _tokenizer_config(metadata: Mapping[str, Any]) -> dict[str, Any]:
    tokens = metadata["tokenizer.ggml.tokens"]

    def token(key: str) -> str | None:
        index = metadata.get(f"tokenizer.ggml.{key}_token_id")
        return None if index is None else str(tokens[index])

    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        # A beginning is added by the chat template alone, where the model wants one.
        "bos_token": token("bos") if metadata.get("tokenizer.ggml.add_bos_token") else None,
        "eos_token": token("eos"),
        "pad_token": token("padding"),
        "clean_up_tokenization_spaces": False,
        "model_max_length": metadata[f"{metadata['general.architecture']}.context_length"],
    }


def _chat_template(metadata: Mapping[str, Any], origin: str, edits: Mapping[str, str]) -> str:
    template = metadata.get("tokenizer.chat_template")
    if not isinstance(template, str) or not template:
        raise StoreError(f"{origin}: the file carries no chat template, so chat requests could not be served")
    for old, new in edits.items():
        if template.count(old) != 1:
            raise StoreError(f"{origin}: the chat template has {template.count(old)} places {old!r}, wanted one")
        template = template.replace(old, new)
    return template
