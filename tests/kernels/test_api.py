import inspect

import torch

from headrace.kernels import api

# The signatures of docs/decisions/0011; a change here needs a change there.
KEYWORDS = {
    "moe_gate": ("scoring", "bias", "num_groups", "topk_groups", "renormalize", "scale"),
    "moe_align": (),
    "moe_gemm": ("top_k", "mul_weight", "swiglu"),
    "fused_experts": ("quant",),
    "select_blocks": (
        "budget", "sink", "local", "max_seqlen_q", "max_seqlen_k", "seq_lens", "method", "top_p", "block_q", "block_kv",
        "page_size", "scale",
    ),
    "select_pages": ("budget", "sink", "local", "page_size", "method", "top_p", "max_seqlen_k", "scale"),
    "sparse_prefill": ("window", "sink", "scale", "softcap", "block_q", "block_kv", "max_seqlen_q"),
    "sparse_decode": ("num_splits", "scale", "softcap", "k_scale", "v_scale"),
    "new_page_stats": ("method", "dtype"),
    "update_page_stats": ("method", "k_scale"),
}  # fmt: skip


def test_every_name_is_there_and_has_words_of_its_own() -> None:
    for name in api.__all__:
        assert inspect.getdoc(getattr(api, name)), name


def test_keywords_are_those_that_the_decision_lists() -> None:
    for name, wanted in KEYWORDS.items():
        parameters = inspect.signature(getattr(api, name)).parameters.values()
        assert tuple(each.name for each in parameters if each.kind is each.KEYWORD_ONLY) == wanted, name


def test_the_ops_are_registered_with_torch() -> None:
    for name in ("moe_gate", "moe_align", "fused_experts", "select_blocks", "sparse_prefill", "sparse_decode"):
        assert hasattr(torch.ops.headrace, name), name
