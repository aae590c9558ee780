import pytest
import torch

from headrace.kernels.quant_layout.nibbles import check_words, pack_int4, split_words, unpack_int4

pytestmark = pytest.mark.engine_env


def test_the_even_index_lies_in_the_low_nibble() -> None:
    assert pack_int4(torch.tensor([1, 2, 15, 0])).tolist() == [0x21, 0x0F]


@pytest.mark.parametrize("shape", [(2,), (3, 8), (2, 5, 6), (0, 4), (4, 0)])
def test_what_is_packed_comes_back(shape: tuple[int, ...]) -> None:
    values = torch.randint(0, 16, shape, generator=torch.Generator().manual_seed(0))
    packed = pack_int4(values)
    assert packed.shape == (*shape[:-1], shape[-1] // 2)
    assert torch.equal(unpack_int4(packed), values.to(torch.uint8))


def test_fields_of_a_word_go_to_the_places_of_their_order() -> None:
    words = torch.tensor([[0x76543210], [-0x01234568]], dtype=torch.int32)  # the second is 0xFEDCBA98
    assert split_words(words, range(8)).tolist() == [list(range(8)), list(range(8, 16))]
    assert split_words(words[:1], (0, 2, 4, 6, 1, 3, 5, 7)).tolist() == [[0, 4, 1, 5, 2, 6, 3, 7]]
    assert split_words(words, range(4), bits=8).tolist() == [[0x10, 0x32, 0x54, 0x76], [0x98, 0xBA, 0xDC, 0xFE]]


def test_an_odd_length_and_values_beyond_four_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="3 on the last axis"):
        pack_int4(torch.zeros(2, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"-1\.\.16"):
        pack_int4(torch.tensor([-1, 16]))


def test_words_of_another_type_or_shape_are_refused() -> None:
    with pytest.raises(TypeError, match=r"q has dtype torch\.int64"):
        check_words("q", torch.zeros(2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"q has shape \(2,\)"):
        check_words("q", torch.zeros(2, dtype=torch.int32))
