from collections.abc import Iterator

import pytest
from vllm.model_executor.custom_op import op_registry_oot
from vllm.platforms import current_platform
from vllm.v1.attention.backends.registry import AttentionBackendEnum

from headrace.kernels.vllm_plugin import hooks, quant_config
from headrace.kernels.vllm_plugin.attention_cpu import SparseCpuBackend
from headrace.kernels.vllm_plugin.attention_triton import SparseTritonBackend
from headrace.kernels.vllm_plugin.moe_method import HeadraceMoeMethod
from headrace.kernels.vllm_plugin.options import MoeOptions, Options, SparseOptions
from headrace.kernels.vllm_plugin.versions import UnsupportedVllm


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    for backend in (AttentionBackendEnum.CPU_ATTN, AttentionBackendEnum.CUSTOM):
        backend.clear_override()
    op_registry_oot.pop(hooks.MOE_METHOD, None)
    quant_config.register_all()


def test_only_what_is_switched_on_is_hooked() -> None:
    assert [name for name, _, _ in hooks.of(Options())] == []
    assert [name for name, _, _ in hooks.of(Options(attention=SparseOptions()))] == ["attention"]
    assert [name for name, _, _ in hooks.of(Options(moe=MoeOptions()))] == ["moe", "quantization"]


def test_on_a_cpu_the_platforms_own_backend_is_overridden() -> None:
    assert hooks.install_attention() == "CPU_ATTN = SparseCpuBackend"
    assert AttentionBackendEnum.CPU_ATTN.get_class() is SparseCpuBackend
    AttentionBackendEnum.CPU_ATTN.clear_override()
    assert hooks.stand_in_for_attention() == "CPU_ATTN is vLLM's own"
    assert not AttentionBackendEnum.CPU_ATTN.is_overridden()


def test_elsewhere_ours_is_the_custom_one_and_vllms_stands_in_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(current_platform), "is_cpu", lambda _: False)
    assert hooks.install_attention() == "CUSTOM = SparseTritonBackend"
    assert AttentionBackendEnum.CUSTOM.get_class() is SparseTritonBackend
    hooks.stand_in_for_attention()
    assert AttentionBackendEnum.CUSTOM.get_path() == hooks.VLLM_TRITON
    assert AttentionBackendEnum.CUSTOM.get_class() is SparseTritonBackend.mro()[1]


def test_the_method_of_experts_is_registered_once() -> None:
    assert hooks.install_moe() == hooks.install_moe() == "UnquantizedFusedMoEMethod = HeadraceMoeMethod"
    assert op_registry_oot[hooks.MOE_METHOD] is HeadraceMoeMethod
    assert "vLLM's own" in hooks.stand_in_for_moe()


def test_quantizations_and_their_stand_ins_have_the_same_names() -> None:
    assert hooks.install_quantization() == "headrace_int8, headrace_int4"
    assert hooks.stand_in_for_quantization().startswith("headrace_int8, headrace_int4")


@pytest.mark.parametrize("install", [hooks.install_attention, hooks.install_moe, hooks.install_quantization])
def test_another_vllm_is_refused_before_anything_is_registered(
    monkeypatch: pytest.MonkeyPatch, install: hooks.Install
) -> None:
    monkeypatch.setattr(hooks.vllm, "__version__", "0.33.0")
    with pytest.raises(UnsupportedVllm, match=r"0\.33\.0"):
        install()
    assert not AttentionBackendEnum.CPU_ATTN.is_overridden()
    assert hooks.MOE_METHOD not in op_registry_oot
