from array import array
from pathlib import Path

import pytest

from headrace.contracts.errors import InvalidRequest, StoreError
from headrace.retrieval.embed.model import EmbeddingModel
from tests.support.tiny_embedding import write_model


@pytest.fixture
def model(tmp_path: Path) -> EmbeddingModel:
    write_model(tmp_path)
    return EmbeddingModel(tmp_path, threads=1)


def vector(data: bytes) -> list[float]:
    return list(array("f", data))


def test_vectors_have_length_one_and_like_texts_are_near(model: EmbeddingModel) -> None:
    cat, dog, tax = (vector(v) for v in model.embed(model.tokenize(["cat", "dog", "tax law"])))
    assert sum(x * x for x in cat) == pytest.approx(1.0, abs=1e-6)
    near, far = (sum(a * b for a, b in zip(cat, other, strict=True)) for other in (dog, tax))
    assert near > far


def test_company_in_a_batch_changes_nothing(model: EmbeddingModel) -> None:
    (alone,) = model.embed(model.tokenize(["cat"]))
    together = model.embed(model.tokenize(["cat", "dog law tax cat", ""]))
    assert vector(together[0]) == pytest.approx(vector(alone), abs=1e-6)


def test_token_arrays_equal_their_text_with_or_without_the_outer_tokens(model: EmbeddingModel) -> None:
    assert model.tokenize(["cat dog", [3, 4], [0, 3, 4, 1]]) == [[0, 3, 4, 1]] * 3


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["cat", "cat " * 7], r"input\[1\] has 9 tokens; this model takes at most 8"),
        ([[3], [99]], r"input\[1\] holds no tokens of this model \(ids 0 to 6\)"),
        ([[-1]], r"input\[0\] holds no tokens"),
        ([[]], r"input\[0\] holds no tokens"),
    ],
)
def test_a_bad_input_is_named_by_its_place(model: EmbeddingModel, inputs: list[str], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        model.tokenize(inputs)


def test_an_incomplete_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="incomplete"):
        EmbeddingModel(tmp_path, threads=1)
