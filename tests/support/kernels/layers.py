"""One attention layer of vLLM here, with a cache of its own and batches made by hand: no engine, no model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import torch
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.v1.attention.backend import CommonAttentionMetadata
from vllm.v1.kv_cache_interface import FullAttentionSpec

PAGE: Final = 32
HEADS: Final = 4
KV_HEADS: Final = 2
SIZE: Final = 64
PAGES: Final = 64
LONGEST: Final = PAGE * PAGES


@contextmanager
def current_config() -> Iterator[VllmConfig]:
    """Stand for the config of a running engine, as far as one layer reads it."""
    config = VllmConfig()
    model = SimpleNamespace(
        dtype=torch.float32,
        max_model_len=LONGEST,
        get_num_attention_heads=lambda _: HEADS,
        get_num_kv_heads=lambda _: KV_HEADS,
        get_head_size=lambda: SIZE,
        rswa_window=None,
    )
    object.__setattr__(config, "model_config", model)
    with set_current_vllm_config(config):
        yield config


@dataclass
class Held:
    """One sequence: where its keys stand, and the keys and values so far."""

    pages: list[int]
    keys: torch.Tensor
    values: torch.Tensor


class OneLayer:
    """A layer of a backend, its cache, and the sequences in it."""

    def __init__(self, backend: Any, config: VllmConfig, *, index: int = 5, **changed: Any) -> None:
        arguments = {"alibi_slopes": None, "sliding_window": None, "kv_cache_dtype": "auto"} | changed
        self.impl = backend.get_impl_cls()(
            num_heads=HEADS, head_size=SIZE, scale=SIZE**-0.5, num_kv_heads=KV_HEADS, **arguments
        )
        spec = FullAttentionSpec(block_size=PAGE, num_kv_heads=KV_HEADS, head_size=SIZE, dtype=torch.float32)
        self.builder = backend.get_builder_cls()(spec, [], config, torch.device("cpu"))
        self.cache = torch.zeros(PAGES, KV_HEADS, PAGE, 2 * SIZE)
        self.layer = SimpleNamespace(
            layer_name=f"model.layers.{index}.self_attn.attn",
            isa=getattr(self.builder, "isa", None),
            _k_scale_float=1.0,
            _v_scale_float=1.0,
        )
        self.sequences: dict[str, Held] = {}
        self._free = list(torch.randperm(PAGES, generator=torch.Generator().manual_seed(3)).tolist())

    def step(self, batch: Sequence[tuple[str, int]], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Let each named sequence go on by some tokens; return the queries and the attention [T, H, D] of all."""
        torch.manual_seed(seed)
        total = sum(count for _, count in batch)
        query, key, value = torch.randn(total, HEADS, SIZE), *torch.randn(2, total, KV_HEADS, SIZE)
        slots, tables, lengths, begin = [], [], [], 0
        for name, count in batch:
            one = self.sequences.setdefault(name, Held([], key[:0], value[:0]))
            have = len(one.keys)
            one.keys = torch.cat([one.keys, key[begin : begin + count]])
            one.values = torch.cat([one.values, value[begin : begin + count]])
            while len(one.pages) * PAGE < len(one.keys):
                one.pages.append(self._free.pop())
            slots += [one.pages[at // PAGE] * PAGE + at % PAGE for at in range(have, have + count)]
            tables.append(one.pages + [0] * (PAGES - len(one.pages)))
            lengths.append(len(one.keys))
            begin += count
        common = self.common([count for _, count in batch], lengths, tables, slots)
        metadata = self.builder.build(0, common)
        self.impl.do_kv_cache_update(self.layer, key, value, self.cache, common.slot_mapping)
        output = torch.full((total, HEADS, SIZE), torch.nan)
        self.impl.forward(self.layer, query, key, value, self.cache, metadata, output)
        return query, output

    @staticmethod
    def common(
        queries: list[int], lengths: list[int], tables: list[list[int]], slots: list[int]
    ) -> CommonAttentionMetadata:
        starts = torch.tensor([0, *queries]).cumsum(0).to(torch.int32)
        return CommonAttentionMetadata(
            query_start_loc=starts,
            query_start_loc_cpu=starts,
            seq_lens=torch.tensor(lengths, dtype=torch.int32),
            seq_lens_cpu_upper_bound=torch.tensor(lengths, dtype=torch.int32),
            num_reqs=len(queries),
            num_actual_tokens=sum(queries),
            max_query_len=max(queries),
            max_seq_len=max(lengths),
            block_table_tensor=torch.tensor(tables, dtype=torch.int32),
            slot_mapping=torch.tensor(slots),
        )


def dense(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, seen: torch.Tensor | None = None
) -> torch.Tensor:
    """Return attention [n, H, D] of the last n tokens over all keys, in float64, causal.

    seen: bool [H, n, S], the keys that each query of each head may look at besides.
    """
    n, total, group = len(query), len(keys), HEADS // KV_HEADS
    k = keys.repeat_interleave(group, dim=1).double()
    v = values.repeat_interleave(group, dim=1).double()
    scores = torch.einsum("qhd,khd->hqk", query.double(), k) * SIZE**-0.5
    causal = torch.arange(total) <= torch.arange(total - n, total)[:, None]
    allowed = causal if seen is None else causal & seen
    weights = scores.masked_fill(~allowed, -torch.inf).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, v)
