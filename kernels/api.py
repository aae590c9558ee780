"""The public functions of headrace's kernels, all in one place. Each checks its arguments and picks its own path.

Signatures are those of docs/decisions/0011; `HEADRACE_KERNELS` (dispatch.py) chooses between Triton and torch.
"""

from headrace.kernels.expert_routing.align import moe_align
from headrace.kernels.expert_routing.fused import fused_experts
from headrace.kernels.expert_routing.gate import moe_gate
from headrace.kernels.expert_routing.gemm import moe_gemm
from headrace.kernels.quant_layout import ExpertQuant, from_awq, from_gptq, round_groups
from headrace.kernels.sparse_attention.decode import sparse_decode
from headrace.kernels.sparse_attention.kv_quant import write_int8_kv
from headrace.kernels.sparse_attention.merge import merge_parts
from headrace.kernels.sparse_attention.page_stats import new_page_stats, update_page_stats
from headrace.kernels.sparse_attention.prefill import sparse_prefill
from headrace.kernels.sparse_attention.select import select_blocks, select_pages

__all__ = [
    "ExpertQuant",
    "from_awq",
    "from_gptq",
    "fused_experts",
    "merge_parts",
    "moe_align",
    "moe_gate",
    "moe_gemm",
    "new_page_stats",
    "round_groups",
    "select_blocks",
    "select_pages",
    "sparse_decode",
    "sparse_prefill",
    "update_page_stats",
    "write_int8_kv",
]
