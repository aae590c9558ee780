"""Sentence vectors of questions for the offline comparison: all-MiniLM-L6-v2, and static word vectors made from it.

Static, in the manner of model2vec: every word that two or more questions hold goes through the model alone, the vectors
are reduced to their first 128 principal components, and a question is the mean of its words' vectors, weighted by
a / (a + frequency) (Arora, Liang, Ma 2017). Vectors are kept in HEADRACE_HOME/scratch, named by what they were made of.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from headrace.contracts.errors import InvalidRequest
from headrace.models.store.store import Store, default_home
from headrace.retrieval.embed.model import EmbeddingModel

MODEL: Final = "all-minilm-l6-v2"
CUTS: Final = (900, 450, 225)  # characters; the first that the model takes
BATCH: Final = 32
DIMENSIONS: Final = 128
RARE: Final = 1e-3
LEAST_QUESTIONS: Final = 2
_WORD: Final = re.compile(r"[^\W\d_]+")

Floats = npt.NDArray[np.float32]


def embed(texts: Sequence[str]) -> Mapping[str, Floats]:
    """Return unit vectors, one row a text, by kind: "MiniLM" and "static"."""
    home = default_home()
    digest = hashlib.sha256("\0".join((MODEL, *texts)).encode()).hexdigest()[:16]
    return {
        "MiniLM": _kept(home / "scratch" / f"minilm-{digest}.npy", texts, _sentences),
        "static": _kept(home / "scratch" / f"static-{digest}.npy", texts, _static),
    }


def _kept(path: Path, texts: Sequence[str], make: Callable[[Sequence[str]], Floats]) -> Floats:
    if path.exists():
        return np.asarray(np.load(path), dtype=np.float32)
    vectors = make(texts)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors)
    return vectors


def _model() -> EmbeddingModel:
    return EmbeddingModel(Store(default_home()).path(MODEL), threads=2)


def _sentences(texts: Sequence[str]) -> Floats:
    return _vectors(_model(), texts)


def _static(texts: Sequence[str]) -> Floats:
    words = [_WORD.findall(text.lower()) for text in texts]
    in_questions = Counter(word for one in words for word in set(one))
    vocabulary = [word for word, count in in_questions.items() if count >= LEAST_QUESTIONS]
    place = {word: number for number, word in enumerate(vocabulary)}
    vectors = _vectors(_model(), vocabulary)
    vectors = vectors - vectors.mean(axis=0)
    axes = np.linalg.svd(vectors, full_matrices=False)[2][:DIMENSIONS]
    share = np.array([in_questions[word] for word in vocabulary]) / len(texts)
    weighted = vectors @ axes.T * (RARE / (RARE + share))[:, None]
    found = np.zeros((len(texts), axes.shape[0]), dtype=np.float32)
    for row, one in enumerate(words):
        known = [place[word] for word in one if word in place]
        if known:
            found[row] = weighted[known].mean(axis=0)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6), dtype=np.float32)


def _vectors(model: EmbeddingModel, texts: Sequence[str]) -> Floats:
    tokens = [_tokens(model, text) for text in texts]
    order = np.argsort([len(ids) for ids in tokens])
    found = np.zeros((len(texts), model.dimensions), dtype=np.float32)
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        for row, vector in zip(rows, model.embed([tokens[row] for row in rows]), strict=True):
            found[row] = np.frombuffer(vector, dtype="<f4")
    return found


def _tokens(model: EmbeddingModel, text: str) -> list[int]:
    for cut in CUTS[:-1]:
        try:
            return model.tokenize([text[:cut]])[0]
        except InvalidRequest:
            continue
    return model.tokenize([text[: CUTS[-1]]])[0]
