"""Sparse attention in vLLM on CUDA and ROCm: its Triton backend, with our part of each batch served by our kernels.

Chosen as CUSTOM, for layers with full attention by `--attention-config`. `is_sparse` stays False: vLLM keeps that word
for models trained that way.
"""

from typing import Any, ClassVar

from vllm.v1.attention.backend import AttentionCGSupport
from vllm.v1.attention.backends.triton_attn import (
    TritonAttentionBackend,
    TritonAttentionImpl,
    TritonAttentionMetadataBuilder,
)

from headrace.kernels import dispatch
from headrace.kernels.vllm_plugin.attention import PlansBatches, ServesSparse


class SparseTritonImpl(ServesSparse, TritonAttentionImpl):  # type: ignore[misc]
    """vLLM's Triton attention, but for long prompts and long decodes. One object a layer."""


class SparseTritonBuilder(PlansBatches, TritonAttentionMetadataBuilder):  # type: ignore[misc]
    """vLLM's metadata with the plan of the batch. Graphs hold decodes only: the plan of other batches is made anew."""

    _cudagraph_support: ClassVar[AttentionCGSupport] = AttentionCGSupport.UNIFORM_SINGLE_TOKEN_DECODE

    @classmethod
    def get_cudagraph_support(cls, vllm_config: Any, kv_cache_spec: Any) -> AttentionCGSupport:
        """Return which graphs may hold this attention: none on the torch path, which looks at values on the host."""
        if dispatch.mode() == "torch":
            return AttentionCGSupport.NEVER
        return super().get_cudagraph_support(vllm_config, kv_cache_spec)


class SparseTritonBackend(TritonAttentionBackend):  # type: ignore[misc]
    """What vLLM asks a backend: all of it as its Triton backend answers, but for the name and the two classes."""

    @staticmethod
    def get_name() -> str:
        """Return the name under which vLLM knows a backend from outside."""
        return "CUSTOM"

    @staticmethod
    def get_impl_cls() -> type[SparseTritonImpl]:
        """Return the class of a layer's attention."""
        return SparseTritonImpl

    @staticmethod
    def get_builder_cls() -> type[SparseTritonBuilder]:
        """Return the class that makes metadata."""
        return SparseTritonBuilder

    @classmethod
    def supports_device_cpu_query_lens_mismatch(cls) -> bool:
        """Return False: the plan is made from the query lengths that the host knows."""
        return False
