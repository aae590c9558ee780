from headrace.kernels.inspect import catalogue
from tests.support.kernels import trial_kernels

OF_TRIAL = [trial_kernels.__name__]


def test_every_op_with_a_kernel_is_found_by_its_variants_module() -> None:
    names = catalogue.modules()
    assert names == sorted(names)
    for op in ("expert_routing.gate", "expert_routing.align", "expert_routing.gemm", "expert_routing.fused"):
        assert f"headrace.kernels.{op}.variants" in names
    for op in ("select", "prefill", "decode", "merge", "page_stats", "kv_quant"):
        assert f"headrace.kernels.sparse_attention.{op}.variants" in names


def test_variants_can_be_asked_for_by_op() -> None:
    every = list(catalogue.variants("sm_90", names=OF_TRIAL))
    assert len(every) == len(trial_kernels.variants("sm_90"))
    assert [one.op for one in catalogue.variants("sm_90", ["narrow"], OF_TRIAL)] == ["narrow"]


def test_the_same_variant_twice_is_one() -> None:
    assert len(list(catalogue.variants("sm_90", ["huge"], OF_TRIAL * 2))) == 1


def test_every_op_has_variants_for_every_architecture() -> None:
    wanted = {"moe_gate", "moe_align", "moe_gemm", "sparse_prefill", "sparse_decode"}
    for arch in ("sm_80", "sm_90", "sm_100", "gfx942"):
        found = list(catalogue.variants(arch))
        assert wanted <= {one.op for one in found}
        assert {one.role for one in found if one.op == "moe_gemm"} == {"prefill", "decode"}
        named = [one for one in found if one.op in {"moe_gemm", "sparse_prefill", "sparse_decode"}]
        assert all(one.weights or one.role == "index" for one in named), arch
