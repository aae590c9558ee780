"""vLLM's real selection for CUDA, run without a GPU: its platform with a capability that is only said."""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from vllm.platforms.interface import DeviceCapability
from vllm.v1.attention.backend import AttentionCGSupport
from vllm.v1.attention.backends.registry import AttentionBackendEnum, register_backend
from vllm.v1.attention.backends.triton_attn import (
    TritonAttentionBackend,
    TritonAttentionImpl,
    TritonAttentionMetadataBuilder,
)
from vllm.v1.attention.selector import AttentionSelectorConfig

from headrace.kernels.vllm_plugin import hooks
from headrace.kernels.vllm_plugin.attention import PlansBatches, ServesSparse
from headrace.kernels.vllm_plugin.attention_triton import SparseTritonBackend

PLAIN = AttentionSelectorConfig(head_size=128, dtype=torch.bfloat16, kv_cache_dtype="auto", block_size=64)


@pytest.fixture
def hopper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("vllm._C", "vllm._C_stable_libtorch"):
        if name not in sys.modules:
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
    from vllm.platforms.cuda import CudaPlatformBase  # noqa: PLC0415  (needs the compiled module to be there)

    class Hopper(CudaPlatformBase):  # type: ignore[misc]
        @classmethod
        def get_device_capability(cls, device_id: int = 0) -> DeviceCapability:
            del device_id
            return DeviceCapability(9, 0)

    register_backend(AttentionBackendEnum.CUSTOM, hooks.TRITON_BACKEND)
    yield Hopper
    AttentionBackendEnum.CUSTOM.clear_override()


def test_the_cuda_platform_takes_our_backend_for_a_plain_layer(hopper: Any) -> None:
    assert hopper.get_attn_backend_cls(AttentionBackendEnum.CUSTOM, PLAIN) == hooks.TRITON_BACKEND


def test_it_gives_vllms_reasons_where_its_own_backend_could_not_serve_either(hopper: Any) -> None:
    with pytest.raises(ValueError, match="sparse not supported"):
        hopper.get_attn_backend_cls(AttentionBackendEnum.CUSTOM, PLAIN._replace(use_sparse=True))
    with pytest.raises(ValueError, match="block_size not supported"):
        hopper.get_attn_backend_cls(AttentionBackendEnum.CUSTOM, PLAIN._replace(block_size=24))


def test_what_cannot_be_planned_from_the_host_is_refused_at_selection(hopper: Any) -> None:
    with pytest.raises(ValueError, match="query lens mismatch"):
        hopper.get_attn_backend_cls(AttentionBackendEnum.CUSTOM, PLAIN._replace(use_adaptive_verification=True))


def test_the_backend_is_vllms_triton_one_but_for_its_name_and_two_classes() -> None:
    impl, builder = SparseTritonBackend.get_impl_cls(), SparseTritonBackend.get_builder_cls()
    assert issubclass(SparseTritonBackend, TritonAttentionBackend)
    assert (impl.__mro__[1], impl.__mro__[2]) == (ServesSparse, TritonAttentionImpl)
    assert (builder.__mro__[1], builder.__mro__[2]) == (PlansBatches, TritonAttentionMetadataBuilder)
    assert SparseTritonBackend.get_name() == "CUSTOM"
    assert AttentionBackendEnum[SparseTritonBackend.get_name()] is AttentionBackendEnum.CUSTOM
    assert not SparseTritonBackend.is_sparse()


@pytest.mark.parametrize(("mode", "name"), [("auto", "UNIFORM_SINGLE_TOKEN_DECODE"), ("torch", "NEVER")])
def test_graphs_hold_decodes_only_and_never_the_torch_path(
    monkeypatch: pytest.MonkeyPatch, mode: str, name: str
) -> None:
    monkeypatch.setenv("HEADRACE_KERNELS", mode)
    found = SparseTritonBackend.get_builder_cls().get_cudagraph_support(None, None)
    assert found is AttentionCGSupport[name]
