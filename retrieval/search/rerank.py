"""A cross-encoder: reads question and passage together and says how likely one answers the other.

The folder holds `model.onnx` (inputs input_ids, attention_mask and token_type_ids int64 [batch, sequence]; output
float32 [batch, 1], log-odds) and `tokenizer.json`. Blocking: searches call it from a thread.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Encoding, Tokenizer

from headrace.contracts.errors import StoreError

# A question and a passage of the default chunk size; what is longer is cut at the passage's end.
MOST_TOKENS: Final = 256
_MOST_QUESTION: Final = 1_000
_BATCH: Final = 8
_CACHED: Final = 20_000


class CrossEncoder:
    """Implements search.Reranker with a stored model. Safe to share between threads."""

    def __init__(self, folder: Path, *, threads: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        # Most processes never rerank. The library ships no stubs.
        import onnxruntime as ort  # type: ignore[import-untyped]  # noqa: PLC0415  (costs start time and memory)

        try:
            self._tokenizer = Tokenizer.from_buffer((folder / "tokenizer.json").read_bytes())
            model = (folder / "model.onnx").read_bytes()
        except (OSError, ValueError) as exc:
            raise StoreError(f"reranking model in {folder.name!r} is incomplete; fetch it again") from exc
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MOST_TOKENS, strategy="longest_first")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, float] = OrderedDict()

    def score(self, query: str, passages: Sequence[str], *, deadline: float) -> list[float]:
        """Return the log-odds of the first passages, as many as are done when `deadline` (clock seconds) comes.

        Batches are small, and one is not begun that would not be done by then, judging by the one before. What was
        read before is remembered.
        """
        question = query[:_MOST_QUESTION]
        keys = [_key(question, passage) for passage in passages]
        scores = self._remembered(keys)
        missing = [place for place, score in enumerate(scores) if score is None]
        lasted = 0.0
        for start in range(0, len(missing), _BATCH):
            begun = self._clock()
            if begun + lasted >= deadline:
                break
            places = missing[start : start + _BATCH]
            read = self._read(question, [passages[place] for place in places])
            for place, score in zip(places, read, strict=True):
                scores[place] = score
            self._remember([keys[place] for place in places], read)
            lasted = self._clock() - begun
        return [score for score in takewhile(lambda score: score is not None, scores) if score is not None]

    def _read(self, question: str, passages: Sequence[str]) -> list[float]:
        pairs = self._tokenizer.encode_batch([(question, passage) for passage in passages])
        (logits,) = self._session.run(None, _tensors(pairs))
        return [float(logit) for logit in np.asarray(logits, dtype=np.float64).reshape(len(pairs), -1)[:, 0]]

    def _remembered(self, keys: Sequence[bytes]) -> list[float | None]:
        with self._lock:
            found = [self._known.get(key) for key in keys]
            for key, score in zip(keys, found, strict=True):
                if score is not None:
                    self._known.move_to_end(key)
        return found

    def _remember(self, keys: Sequence[bytes], scores: Sequence[float]) -> None:
        with self._lock:
            self._known.update(zip(keys, scores, strict=True))
            while len(self._known) > _CACHED:
                self._known.popitem(last=False)


class LazyReranker:
    """Implements search.Reranker with one that is loaded when it is first asked. Safe to share between threads."""

    def __init__(self, load: Callable[[], CrossEncoder]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._loaded: CrossEncoder | None = None

    def score(self, query: str, passages: Sequence[str], *, deadline: float) -> list[float]:
        """Load if need be, and score; see CrossEncoder.score."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
        return self._loaded.score(query, passages, deadline=deadline)


def _tensors(pairs: Sequence[Encoding]) -> dict[str, np.ndarray[tuple[int, int], np.dtype[np.int64]]]:
    longest = max(len(pair.ids) for pair in pairs)
    tensors = {
        name: np.zeros((len(pairs), longest), dtype=np.int64)
        for name in ("input_ids", "attention_mask", "token_type_ids")
    }
    for row, pair in enumerate(pairs):
        size = len(pair.ids)
        tensors["input_ids"][row, :size] = pair.ids
        tensors["attention_mask"][row, :size] = 1
        tensors["token_type_ids"][row, :size] = pair.type_ids
    return tensors


def _key(question: str, passage: str) -> bytes:
    both = f"{len(question)}:{question}{passage}"
    return hashlib.blake2b(both.encode("utf-8", "surrogatepass"), digest_size=16).digest()
