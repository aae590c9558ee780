"""Sparse attention in vLLM on a CPU: in the place of its CPU backend, with the torch path of our kernels.

vLLM packs keys and values in an order of its own for each instruction set; `cpu_layout` finds that order out, and our
part of a batch is unpacked page by page before it is read.
"""

import torch
from vllm.v1.attention.backends.cpu_attn import (
    CPUAttentionBackend,
    CPUAttentionBackendImpl,
    CPUAttentionMetadataBuilder,
)

from headrace.kernels.sparse_attention.page_stats import update_page_stats
from headrace.kernels.vllm_plugin.attention import Pages, PlansBatches, ServesSparse, options_now
from headrace.kernels.vllm_plugin.cpu_layout import Order, order_of


class SparseCpuImpl(ServesSparse, CPUAttentionBackendImpl):  # type: ignore[misc]
    """vLLM's CPU attention, but for long prompts and long decodes. One object a layer."""

    _order: Order | None = None

    def do_kv_cache_update(
        self,
        layer: torch.nn.Module,
        key: torch.Tensor,
        value: torch.Tensor,
        kv_cache: torch.Tensor,
        slot_mapping: torch.Tensor,
    ) -> None:
        """Write the cache as vLLM does, and the statistics of the pages written."""
        if self._order is None:
            self._order = order_of(str(layer.isa), kv_cache.dtype, page=kv_cache.shape[2], head_size=self.head_size)
        super().do_kv_cache_update(layer, key, value, kv_cache, slot_mapping)

    def _open(self, kv_cache: torch.Tensor, ids: torch.Tensor) -> Pages:
        used, within = torch.unique(ids.clamp_min(0), return_inverse=True)
        k, v = self._known_order().unpack(kv_cache[used])
        return Pages(k, v, within.to(torch.int32).where(ids >= 0, ids))

    def _update(self, kv_cache: torch.Tensor, slots: torch.Tensor, stats: torch.Tensor) -> None:
        written = slots[slots >= 0]
        page = kv_cache.shape[2]
        used, within = torch.unique(written // page, return_inverse=True)
        k, _ = self._known_order().unpack(kv_cache[used])
        few = stats[used]
        update_page_stats(k, within * page + written % page, few, method=options_now().method)
        stats[used] = few

    def _known_order(self) -> Order:
        if self._order is None:
            raise RuntimeError("the order of the cache is not known yet; it was never written through this layer")
        return self._order


class SparseCpuBuilder(PlansBatches, CPUAttentionMetadataBuilder):  # type: ignore[misc]
    """vLLM's metadata with the plan of the batch."""


class SparseCpuBackend(CPUAttentionBackend):  # type: ignore[misc]
    """What vLLM asks a backend: all of it as its CPU backend answers, but for the two classes."""

    @staticmethod
    def get_impl_cls() -> type[SparseCpuImpl]:
        """Return the class of a layer's attention."""
        return SparseCpuImpl

    @staticmethod
    def get_builder_cls() -> type[SparseCpuBuilder]:
        """Return the class that makes metadata."""
        return SparseCpuBuilder
