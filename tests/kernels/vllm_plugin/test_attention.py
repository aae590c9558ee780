"""The mixed-in half alone, before a backend that keeps its cache plain, as the one for GPUs does."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from headrace.kernels import dispatch
from headrace.kernels.vllm_plugin import attention, state
from headrace.kernels.vllm_plugin.attention import PlansBatches, ServesSparse
from tests.support.kernels.layers import LONGEST, PAGE, OneLayer, current_config, dense

KEEP_ALL = {"budget": 4096, "min_tokens": 0, "min_query": 2, "dense_layers": 0, "sink": 32, "local": 64}


class PlainImpl:
    """Stands for vLLM's attention: writes a plain cache, and answers nothing but NaN."""

    def __init__(self, **given: Any) -> None:
        facts = {"attn_type": "decoder", "sinks": None, "kv_sharing_target_layer_name": None, "total_cp_world_size": 1}
        for name, value in (facts | {"logits_soft_cap": 0} | given).items():
            setattr(self, name, value)
        self.calls = 0

    def do_kv_cache_update(self, layer: Any, key: Any, value: Any, kv_cache: Any, slot_mapping: Any) -> None:
        del layer
        pages, rows = slot_mapping // PAGE, slot_mapping % PAGE
        kv_cache[pages, :, rows] = torch.cat([key, value], dim=-1)

    def forward(self, *given: Any) -> None:
        del given
        self.calls += 1


class PlainBuilder:
    """Stands for vLLM's builder."""

    supports_draft_decode_metadata_update = True

    def __init__(self, spec: Any, names: list[str], config: Any, device: torch.device) -> None:
        del spec, names, device
        self.vllm_config = config

    def build(self, common_prefix_len: int, common: Any, fast_build: bool) -> Any:
        del common_prefix_len, fast_build
        names = {"query_start_loc": "query_start_loc", "seq_lens": "seq_lens", "block_table_tensor": "block_table"}
        return SimpleNamespace(**{new: getattr(common, old) for old, new in names.items()})

    def build_for_cudagraph_capture(self, common: Any) -> Any:
        return self.build(0, common, fast_build=False)


class SparsePlainImpl(ServesSparse, PlainImpl):
    pass


class SparsePlainBuilder(PlansBatches, PlainBuilder):
    pass


class Backend:
    get_impl_cls = staticmethod(lambda: SparsePlainImpl)
    get_builder_cls = staticmethod(lambda: SparsePlainBuilder)


@pytest.fixture(autouse=True)
def _counted() -> Iterator[None]:
    state.forget()
    yield
    state.forget()
    attention.options_now.cache_clear()


def layer(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> OneLayer:
    monkeypatch.setenv("HEADRACE_ATTENTION", "sparse")
    monkeypatch.setenv("HEADRACE_ATTENTION_OPTIONS", json.dumps(KEEP_ALL | changed.pop("options", {})))
    attention.options_now.cache_clear()
    with current_config() as config:
        return OneLayer(Backend, config, **changed)


@pytest.mark.parametrize("method", ["mean", "minmax"])
def test_a_plain_cache_is_read_where_it_stands(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    one = layer(monkeypatch, options={"method": method})
    for step, batch in enumerate([[("a", 90), ("b", 7)], [("a", 1), ("b", 1)], [("b", 1), ("a", 40)]]):
        query, found = one.step(batch, seed=step)
        begin = 0
        for name, count in batch:
            mine, span = one.sequences[name], slice(begin, begin + count)
            wanted = dense(query[span], mine.keys, mine.values)
            torch.testing.assert_close(found[span].double(), wanted, atol=1e-5, rtol=0)
            begin += count
    assert one.impl.calls == 0
    assert one.impl._stats.shape[1:] == ((2, 2, 64) if method == "minmax" else (2, 64))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"sliding_window": 100}, "sliding-window"),
        ({"sliding_window": (100, 0)}, "sliding-window"),
        ({"alibi_slopes": torch.ones(4)}, "alibi"),
        ({"kv_cache_dtype": "fp8"}, "kv-cache-dtype"),
        ({"index": 0, "options": {"dense_layers": 1}}, "dense-layer"),
    ],
)
def test_a_layer_that_is_not_ours_is_left_alone_and_counted_once(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], reason: str
) -> None:
    one = layer(monkeypatch, **changed)
    one.step([("a", 90)])
    one.step([("a", 1)])
    assert one.impl.calls == 2
    assert one.impl._stats is None
    assert dispatch.refusals() == {("sparse_attention", reason): 1}


def test_no_window_is_said_in_vllms_three_ways() -> None:
    assert [attention._window(said) for said in (None, -1, (-1, -1), (-1, 0), (7, 0), 8)] == [None] * 4 + [7, 8]


def test_a_cache_that_may_be_filled_from_elsewhere_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_has_connector", lambda: True)
    one = layer(monkeypatch)
    one.step([("a", 90)])
    assert dispatch.refusals() == {("sparse_attention", "kv-connector"): 1}


def test_a_fused_output_scale_is_vllms(monkeypatch: pytest.MonkeyPatch) -> None:
    one = layer(monkeypatch)
    one.step([("a", 90)])
    common = one.common([1], [91], [one.sequences["a"].pages], [0])
    metadata = one.builder.build(0, common)
    query = torch.zeros(1, 4, 64)
    one.impl.forward(one.layer, query, query, query, one.cache, metadata, query, torch.ones(1))
    assert one.impl.calls == 1


def test_metadata_without_a_plan_are_vllms(monkeypatch: pytest.MonkeyPatch) -> None:
    one = layer(monkeypatch)
    query = torch.zeros(1, 4, 64)
    one.impl.forward(one.layer, query, query, query, one.cache, None, query)
    assert one.impl.calls == 1


def test_a_captured_decode_is_planned_for_the_longest_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    one = layer(monkeypatch, options={"min_tokens": 1000})
    common = one.common([1, 1], [1, 1], [[0], [1]], [0, PAGE])
    captured = getattr(one.builder.build_for_cudagraph_capture(common), attention.PLAN)
    assert (captured.decodes.is_ours, captured.decodes.most_tokens) == (True, LONGEST)
    assert not getattr(one.builder.build(0, common), attention.PLAN).decodes.is_ours
    assert not one.builder.supports_draft_decode_metadata_update


def test_another_cache_gets_statistics_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    one = layer(monkeypatch)
    one.step([("a", 90)])
    before = one.impl._stats
    one.cache = torch.zeros_like(one.cache)
    one.sequences.clear()
    one.step([("b", 40)], seed=1)
    assert one.impl._stats is not before


def test_layers_are_counted_by_their_first_number() -> None:
    assert [attention._index(name) for name in ("model.layers.7.self_attn.attn", "attn", "h.3.x.1")] == [7, 0, 3]


def test_budgets_are_rounded_up_to_whole_blocks() -> None:
    options = attention.SparseOptions(budget=100, sink=1, local=0)
    assert attention._in_blocks(options, 64) == {"budget": 2, "sink": 1, "local": 1}
