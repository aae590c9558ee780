import pytest

from headrace.kernels.inspect import roofline
from headrace.kernels.inspect.roofline import MIXTRAL, QWEN3_30B, Work

MB = 1e6


@pytest.mark.parametrize(
    ("work", "megabytes", "floor_us"),
    [
        (roofline.gate(4096, 128), 2.4, 0.7),
        (roofline.gate(4096, 256), 4.5, 1.3),
        (roofline.experts(QWEN3_30B, 1, "bf16"), 75.6, 22.6),
        (roofline.experts(QWEN3_30B, 1, "int8"), 38.4, 11.5),
        (roofline.experts(QWEN3_30B, 1, "int4"), 19.6, 5.8),
        (roofline.experts(QWEN3_30B, 16, "bf16"), 779, 233),
        (roofline.experts(QWEN3_30B, 16, "int4"), 202, 60),
        (roofline.experts(QWEN3_30B, 64, "bf16"), 1194, 357),
        (roofline.experts(QWEN3_30B, 4096, "bf16"), 1577, 471),
        (roofline.experts(QWEN3_30B, 4096, "int4"), 681, 313),
        (roofline.experts(MIXTRAL, 1, "bf16"), 705, 210),
        (roofline.experts(MIXTRAL, 1, "int4"), 182, 54),
        (roofline.experts(MIXTRAL, 16, "bf16"), 2795, 834),
        (roofline.prefill(8192, 122_880), 671, 17232),
        (roofline.prefill(8192, 122_880, kept=0.1), None, 1723),
        (roofline.prefill(8192, 122_880, window=4096), None, 556),
        (roofline.decode(131_072), 537, 160),
        (roofline.decode(131_072, kept=4096), 16.8, 5),
        (roofline.score_pages(131_072, 64), 8.4, 2.5),
        (roofline.score_pages(131_072, 16), 33.6, 10),
        (roofline.decode(131_072, batch=16), 8590, 2564),
        (roofline.decode(131_072, batch=16, kept=4096), 269, 80),
        (roofline.score_pages(131_072, 64, batch=16), 134, 40),
    ],
    ids=lambda value: f"{value.op} {value.shape}" if isinstance(value, Work) else None,
)
def test_bytes_and_floors_are_those_worked_out_by_hand(work: Work, megabytes: float | None, floor_us: float) -> None:
    if megabytes is not None:
        assert work.bytes_ / MB == pytest.approx(megabytes, rel=0.02)
    assert work.floor_us == pytest.approx(floor_us, rel=0.03)
    assert work.realistic_us >= work.floor_us


def test_a_work_is_bound_by_the_slower_of_memory_and_products() -> None:
    assert Work("op", "memory", 3.35e12, 1.0).floor_us == pytest.approx(1e6)
    assert Work("op", "products", 1.0, 989e12).floor_us == pytest.approx(1e6)


def test_the_share_of_blocks_at_which_selection_pays_is_below_one() -> None:
    dense, tenth = roofline.prefill(8192, 122_880), roofline.prefill(8192, 122_880, kept=0.1)
    assert tenth.floor_us == pytest.approx(0.1 * dense.floor_us)


def test_the_named_shapes_have_names_of_their_own() -> None:
    named = roofline.named()
    assert len({(work.op, work.shape) for work in named}) == len(named)
