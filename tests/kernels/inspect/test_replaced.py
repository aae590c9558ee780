import json
import os
import subprocess
import sys
from types import ModuleType

import pytest
from torch import Tensor
from triton.runtime.jit import JITFunction

from headrace.kernels.inspect import replaced
from headrace.kernels.inspect.worker import Request, inspect_all
from tests.support.kernels import trial_kernels


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


class _Launched:
    """What a compiled-mode kernel shows of itself."""

    def __init__(self) -> None:
        real = JITFunction(trial_kernels.product.fn)
        self.fn, self.params, self.arg_names = real.fn, real.params, real.arg_names


class _Host(ModuleType):
    """Stands in for vLLM's modules: launches what it is asked to, with tiles of a fixed choice."""

    def __init__(self) -> None:
        super().__init__("host")
        for name in ("fused_moe_kernel", "fused_moe_kernel_gptq_awq", "kernel_unified_attention", "reduce_segments"):
            setattr(self, name, _Launched())

    def get_default_config(self, tokens: int, *_: object) -> dict[str, int]:
        return {"BLOCK_SIZE_M": 128 if tokens > 64 else 16}

    def invoke_fused_moe_triton_kernel(self, a: Tensor, b: Tensor, out: Tensor, *_: object, **__: object) -> None:
        self.fused_moe_kernel[lambda _: (1,)](a, b, out, 16, 16, 16, M=16, N=16, K=16)

    def invoke_fused_moe_wna16_triton_kernel(self, a: Tensor, b: Tensor, out: Tensor, *_: object, **__: object) -> None:
        self.fused_moe_kernel_gptq_awq[lambda _: (1,)](a, b, out, 16, 16, 16, M=16, N=16, K=16)

    def unified_attention(self, q: Tensor, k: Tensor, _: Tensor, out: Tensor, *__: object, **___: object) -> None:
        self.kernel_unified_attention[1,](q, k, out, 16, 16, 16, M=16, N=16, K=16, num_warps=8)
        if q.shape[0] == 1:
            self.reduce_segments[1,](q, k, out, 16, 16, 16, M=16, N=16, K=16)


def test_each_weight_type_and_batch_is_launched_once_with_its_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaced, "_show_triton", lambda: None)
    monkeypatch.setattr(replaced.importlib, "import_module", lambda _: _Host())
    found = list(replaced.variants("sm_90", ["moe_gemm"]))
    assert [(one.role, one.types["w"]) for one in found] == [
        (role, weights) for role in ("decode", "decode", "prefill") for weights in ("*bf16", "*u8", "*u8")
    ]
    assert {one.shape.rsplit(" ", 1)[1] for one in found} == {"bf16", "int8", "int4"}
    every = list(replaced.variants("sm_90"))
    assert [(one.op, one.role, one.num_warps) for one in every[9:]] == [
        ("sparse_prefill", "prefill", 8), ("sparse_decode", "decode", 8), ("sparse_decode", "index", 4),
    ]  # fmt: skip


def test_triton_is_put_where_vllm_looks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vllm.triton_utils", raising=False)
    replaced._show_triton()
    shown = sys.modules.pop("vllm.triton_utils")
    assert shown.HAS_TRITON
    assert shown.tl is sys.modules["triton.language"]
    assert shown.aggregate(3) == 3
    with pytest.raises(AttributeError):
        shown.__wrapped__  # noqa: B018  (that it is missing is the point)


def test_without_vllm_it_says_how_to_leave_its_kernels_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vllm.triton_utils", raising=False)
    monkeypatch.setattr(replaced, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match="--ours-only"):
        replaced._show_triton()
