from headrace.kernels.inspect.facts import Counts, Facts, from_json, to_json

FACTS = Facts(
    "headrace", "moe_gemm", "kernel", "sm_90", "decode", "T=1", "M=16", 4, 3,
    registers=96, shared_bytes=1024, reads_weights=True, counts=Counts(weight_bytes=200, weight_bytes_wide=150),
)  # fmt: skip


def test_facts_survive_the_way_through_a_process() -> None:
    assert from_json(to_json(FACTS)) == FACTS


def test_the_wide_share_is_of_weight_bytes_and_none_where_none_are_read() -> None:
    assert FACTS.wide_share == 0.75
    other = from_json(to_json(FACTS).replace('"reads_weights": true', '"reads_weights": false'))
    assert other.wide_share is None


def test_weights_whose_loads_were_not_found_count_as_narrow() -> None:
    unseen = from_json(to_json(FACTS).replace('"weight_bytes": 200', '"weight_bytes": 0'))
    assert unseen.wide_share == 0.0


def test_the_name_tells_op_shape_tile_and_architecture() -> None:
    assert FACTS.name == "headrace moe_gemm kernel [T=1] M=16 on sm_90"
