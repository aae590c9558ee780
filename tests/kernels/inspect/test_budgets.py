from dataclasses import replace

import pytest

from headrace.kernels.inspect import budgets
from headrace.kernels.inspect.bytes_moved import Moved
from headrace.kernels.inspect.facts import Counts, Facts

GOOD = Facts(
    "headrace", "moe_gemm", "kernel", "sm_90", "prefill", "T=4096", "M=128", 8, 3,
    registers=255, shared_bytes=227 * 1024, reads_weights=True,
    counts=Counts(async_matrix=4, weight_bytes=100, weight_bytes_wide=90),
)  # fmt: skip


def _broken(*facts: Facts, moved: tuple[Moved, ...] = ()) -> list[str]:
    return budgets.breaches(facts, moved, budgets.load())


def test_a_kernel_at_every_limit_breaks_none() -> None:
    assert _broken(GOOD) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"registers": 256}, "256 registers a thread, limit 255"),
        ({"spill_bytes": 8}, "8 bytes spilled, limit 0"),
        ({"shared_bytes": 227 * 1024 + 1}, "232449 bytes of shared memory, limit 232448"),
        ({"arch": "sm_80", "counts": replace(GOOD.counts, matrix=4)}, "232448 bytes of shared memory, limit 166912"),
        ({"counts": replace(GOOD.counts, async_matrix=0, matrix=9)}, "0 asynchronous matrix instructions, at least 1"),
        ({"counts": replace(GOOD.counts, weight_bytes_wide=89)}, "89% of weight or KV bytes in 128-bit loads"),
        ({"error": "CompilationError: no"}, "does not compile: CompilationError: no"),
    ],
)
def test_each_broken_limit_is_one_line_with_both_values(changed: dict[str, object], said: str) -> None:
    lines = _broken(replace(GOOD, **changed))  # type: ignore[arg-type]  # the fields are the dataclass's own
    assert len(lines) == 1
    assert said in lines[0]
    assert "moe_gemm" in lines[0]


def test_decode_needs_no_matrix_instruction_and_other_architectures_other_ones() -> None:
    assert _broken(replace(GOOD, role="decode", counts=replace(GOOD.counts, async_matrix=0))) == []
    amd = replace(GOOD, arch="gfx942", shared_bytes=65536)
    assert "0 matrix instructions, at least 1" in _broken(amd)[0]


def test_what_vllm_brings_is_not_judged() -> None:
    assert _broken(replace(GOOD, whose="vllm", spill_bytes=99)) == []


def test_bytes_are_judged_for_decode_products_and_decode_attention_alone() -> None:
    moved = (
        Moved("moe_gemm", "T=1", 100, 116),
        Moved("sparse_decode", "B=1", 100, 115),
        Moved("moe_gate", "T=1", 1, 9),
    )
    assert _broken(moved=moved) == ["moe_gemm [T=1]: 1.16 bytes issued for each that is needed, limit 1.15"]
