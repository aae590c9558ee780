import json
import os
import subprocess
import sys

import pytest

from headrace.kernels.inspect import replaced
from headrace.kernels.inspect.worker import Request, inspect_all


def test_ops_without_a_triton_kernel_of_vllm_have_no_rows() -> None:
    assert list(replaced.variants("sm_90", ["moe_gate", "moe_align"])) == []


@pytest.mark.full
def test_vllm_shows_its_own_launches_where_its_cpu_build_hides_triton() -> None:
    program = (
        "import json; from headrace.kernels.inspect import replaced;"
        "print(json.dumps([[v.op, v.role, v.kernel.fn.__name__, sorted(v.weights), sorted(v.aligned), v.num_warps,"
        " v.constants.get('TILE_SIZE')] for v in replaced.variants('sm_90', ['sparse_prefill', 'sparse_decode'])]))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["VLLM_LOGGING_LEVEL"] = "ERROR"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    rows = json.loads(done.stdout.splitlines()[-1])
    assert [(op, role) for op, role, *_ in rows] == [
        ("sparse_prefill", "prefill"), ("sparse_decode", "decode"), ("sparse_decode", "index"),
    ]  # fmt: skip
    assert rows[0][2] == "kernel_unified_attention"
    assert rows[0][3] == ["key_cache_ptr", "value_cache_ptr"]
    assert "key_cache_ptr" in rows[0][4]
    assert [row[6] for row in rows[:2]] == [32, 16]


@pytest.mark.full
def test_all_kernels_that_ours_replace_compile_for_hopper() -> None:
    found = [one for one in inspect_all(Request(["sm_90"], modules=[], replaced=True)) if one.whose == "vllm"]
    assert {one.op for one in found} == {"moe_gemm", "sparse_prefill", "sparse_decode"}
    assert not [one.error for one in found if one.error]
    assert all(one.counts.weight_bytes for one in found if one.reads_weights)
