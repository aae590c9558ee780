"""The Triton kernels of the installed vLLM that ours replace, as vLLM itself would launch them, for the same report.

Only for a process of its own: vLLM's CPU build hides Triton behind a placeholder, which is undone here before anything
of vLLM is imported. Its gate and its alignment are compiled CUDA and have no row; on Hopper its dense attention is
FlashAttention 3 unless Triton's backend is chosen, which is the one shown.
"""

import importlib
import sys
from collections.abc import Collection, Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Final

import torch

from headrace.kernels.inspect.launch import Purpose, recording
from headrace.kernels.inspect.roofline import HEADS, QWEN3_30B
from headrace.kernels.variant import Variant

MOE: Final = "vllm.model_executor.layers.fused_moe.fused_moe"
ATTENTION: Final = "vllm.v1.attention.ops.triton_unified_attention"
_SHOWN: Final = "vllm.triton_utils"
_TOKENS: Final = (1, 64, 4096)
_PREFILL_ROWS: Final = 64
_INT8: Final = "int8_w8a16"
_INT4: Final = "int4_w4a16"
_QUANTS: Final = {"bf16": None, "int8": _INT8, "int4": _INT4}
_GROUP: Final = 128
_PAGE: Final = 16
_CONTEXT: Final = 131_072
_SEGMENTS: Final = 16
_WEIGHTS: Final = frozenset({"b_ptr"})
_KV: Final = frozenset({"key_cache_ptr", "value_cache_ptr"})


def variants(arch: str, ops: Collection[str] = ()) -> Iterator[Variant]:
    """Yield vLLM's kernels for the named shapes; `arch` does not matter to it: it has one choice of tile for all.

    What this machine's platform makes vLLM choose otherwise (stages on AMD) is not undone.
    """
    del arch
    wanted = {"moe_gemm", "sparse_prefill", "sparse_decode"} & (
        set(ops) or {"moe_gemm", "sparse_prefill", "sparse_decode"}
    )
    if not wanted:
        return
    _show_triton()
    if "moe_gemm" in wanted:
        yield from _moe(importlib.import_module(MOE))
    attention = {"sparse_prefill", "sparse_decode"} & wanted
    if attention:
        yield from (one for one in _attention(importlib.import_module(ATTENTION)) if one.op in attention)


def _moe(module: ModuleType) -> Iterator[Variant]:
    layer = QWEN3_30B
    for tokens in _TOKENS:
        for name, quant in _QUANTS.items():
            config = module.get_default_config(
                tokens,
                layer.experts,
                layer.inner,
                layer.hidden,
                layer.top_k,
                quant,
                [0, _GROUP] if quant else None,
            )
            role = "prefill" if config["BLOCK_SIZE_M"] >= _PREFILL_ROWS else "decode"
            purpose = Purpose("moe_gemm", role, f"{layer.name} gate and up, T={tokens} {name}", _WEIGHTS)
            kernels = dict.fromkeys(("fused_moe_kernel", "fused_moe_kernel_gptq_awq"), purpose)
            with recording(module, kernels) as found:
                _launch_moe(module, tokens, quant, config)
            yield from found


def _launch_moe(module: ModuleType, tokens: int, quant: str | None, config: dict[str, int]) -> None:
    import triton.language as tl  # noqa: PLC0415  (only the worker has triton's compiler)

    layer = QWEN3_30B
    rows = 2 * layer.inner
    blocks = tokens * layer.top_k
    a = _meta(tokens, layer.hidden)
    columns = layer.hidden // (2 if quant == _INT4 else 1)
    b = _meta(layer.experts, rows, columns, dtype=torch.uint8 if quant else torch.bfloat16)
    out = _meta(tokens, layer.top_k, rows)
    scale = _meta(layer.experts, rows, layer.hidden // _GROUP) if quant else None
    weights = _meta(tokens, layer.top_k, dtype=torch.float32)
    order = _meta(blocks * config["BLOCK_SIZE_M"], dtype=torch.int32)
    experts = _meta(blocks, dtype=torch.int32)
    count = _meta(1, dtype=torch.int32)
    if quant is None:
        module.invoke_fused_moe_triton_kernel(
            a, b, out, None, None, weights, order, experts, count, mul_routed_weight=False, top_k=layer.top_k,
            config=config, compute_type=tl.bfloat16,
            use_fp8_w8a8=False, use_int8_w8a8=False, use_int8_w8a16=False, use_int4_w4a16=False,
            per_channel_quant=False,
        )  # fmt: skip
        return
    module.invoke_fused_moe_wna16_triton_kernel(
        a, b, out, scale, None, weights, order, experts, count, mul_routed_weight=False, top_k=layer.top_k,
            config=config, compute_type=tl.bfloat16,
        use_int8_w8a16=quant == _INT8, use_int4_w4a16=quant == _INT4, block_shape=[0, _GROUP],
    )  # fmt: skip


def _attention(module: ModuleType) -> Iterator[Variant]:
    for op, role, queries in (("sparse_prefill", "prefill", 8192), ("sparse_decode", "decode", 1)):
        purpose = Purpose(op, role, f"{queries} queries at {_CONTEXT}, dense, page {_PAGE}", _KV)
        merge = Purpose(op, "index", f"merging {_SEGMENTS} segments")
        with recording(module, {"kernel_unified_attention": purpose, "reduce_segments": merge}) as found:
            _launch_attention(module, queries)
        yield from found


def _launch_attention(module: ModuleType, queries: int) -> None:
    heads = HEADS
    pages = _CONTEXT // _PAGE
    cache = _meta(pages, _PAGE, heads.kv, heads.dim)
    q = _meta(queries, heads.query, heads.dim)
    parts = (queries, heads.query, _SEGMENTS)
    module.unified_attention(
        q, cache, cache, _meta(*q.shape), _meta(2, dtype=torch.int32), queries, _meta(1, dtype=torch.int32), _CONTEXT,
        heads.dim**-0.5, causal=True, window_size=(-1, -1), block_table=_meta(1, pages, dtype=torch.int32), softcap=0.0,
        q_descale=None, k_descale=None, v_descale=None,
        seq_threshold_3D=8,
        num_par_softmax_segments=_SEGMENTS,
        softmax_segm_output=_meta(*parts, heads.dim, dtype=torch.float32),
        softmax_segm_max=_meta(*parts, dtype=torch.float32),
        softmax_segm_expsum=_meta(*parts, dtype=torch.float32),
    )  # fmt: skip


def _meta(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _show_triton() -> None:
    """Put the real Triton where vLLM's modules look for it, before they look."""
    if _SHOWN in sys.modules:
        return
    import triton  # noqa: PLC0415  (only the worker has triton's compiler)
    import triton.language as tl  # noqa: PLC0415  (same)
    from triton.language.extra import libdevice  # noqa: PLC0415  (same)

    spec = find_spec("vllm")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("vllm is not installed here; leave its kernels out with --ours-only")
    shown = _Shown(_SHOWN)
    shown.__path__ = [f"{next(iter(spec.submodule_search_locations))}/triton_utils"]
    shown.__dict__.update(HAS_TRITON=True, triton=triton, tl=tl, tldevice=libdevice)
    shown.__dict__.update(LOG2E=1.4426950408889634, LOGE2=0.6931471805599453, use_tensor_descriptor=lambda *_: False)
    sys.modules[_SHOWN] = shown


class _Shown(ModuleType):
    """Names that no kernel of ours stands beside (gluon, aggregate) are there and do nothing."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda given=None, *_, **__: given
