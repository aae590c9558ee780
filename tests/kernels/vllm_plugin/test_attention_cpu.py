import json
from collections.abc import Iterator, Sequence

import pytest
import torch
from vllm.config import VllmConfig

from headrace.kernels import dispatch
from headrace.kernels.vllm_plugin import attention, state
from headrace.kernels.vllm_plugin.attention_cpu import SparseCpuBackend
from tests.support.kernels.chosen import seen_by_block, seen_by_page
from tests.support.kernels.layers import PAGE, OneLayer, current_config, dense

BLOCK = 64
KEEP_ALL = {"budget": 4096, "min_tokens": 0, "min_query": 2, "dense_layers": 0, "sink": 32, "local": 64}
FEW = KEEP_ALL | {"budget": 192, "sink": 64, "local": 64}


@pytest.fixture
def config() -> Iterator[VllmConfig]:
    with current_config() as found:
        yield found


@pytest.fixture(autouse=True)
def _counted() -> Iterator[None]:
    state.forget()
    yield
    state.forget()
    attention.options_now.cache_clear()


def layer(monkeypatch: pytest.MonkeyPatch, config: VllmConfig, index: int = 5, **options: object) -> OneLayer:
    monkeypatch.setenv("HEADRACE_ATTENTION", "sparse")
    monkeypatch.setenv("HEADRACE_ATTENTION_OPTIONS", json.dumps(options))
    attention.options_now.cache_clear()
    return OneLayer(SparseCpuBackend, config, index=index)


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found.double(), wanted, atol=2e-5, rtol=0)


def served() -> dict[str, int]:
    found: dict[str, int] = state.snapshot()["served"]
    return found


def test_keeping_every_block_is_dense_attention_in_every_chunk(
    monkeypatch: pytest.MonkeyPatch, config: VllmConfig
) -> None:
    one = layer(monkeypatch, config, **KEEP_ALL)
    for step, count in enumerate([100, 33, 1, 64, 1, 1]):
        query, found = one.step([("a", count)], seed=step)
        close(found, dense(query, one.sequences["a"].keys, one.sequences["a"].values))
    assert served() == {"sparse_prefill": 3, "sparse_decode": 3}


@pytest.mark.parametrize("counts", [[("a", 1), ("b", 1), ("c", 40)], [("b", 1), ("c", 40), ("a", 1)]])
def test_a_mixed_batch_is_dense_attention_for_each_sequence(
    monkeypatch: pytest.MonkeyPatch, config: VllmConfig, counts: Sequence[tuple[str, int]]
) -> None:
    one = layer(monkeypatch, config, **KEEP_ALL)
    one.step([("a", 70), ("b", 5)])
    query, found = one.step(counts, seed=1)
    begin = 0
    for name, count in counts:
        mine = one.sequences[name]
        close(found[begin : begin + count], dense(query[begin : begin + count], mine.keys, mine.values))
        begin += count


def test_a_part_that_is_not_ours_is_vllms_beside_ours(monkeypatch: pytest.MonkeyPatch, config: VllmConfig) -> None:
    one = layer(monkeypatch, config, **(KEEP_ALL | {"min_tokens": 60}))
    one.step([("a", 70)])
    query, found = one.step([("a", 1), ("b", 20)], seed=1)
    for name, span in (("a", slice(0, 1)), ("b", slice(1, 21))):
        close(found[span], dense(query[span], one.sequences[name].keys, one.sequences[name].values))
    assert served() == {"sparse_prefill": 1, "sparse_decode": 1}
    assert dispatch.refusals() == {("sparse_prefill", "short-context"): 1}


def test_a_long_decode_left_alone_beside_a_prompt_of_ours(monkeypatch: pytest.MonkeyPatch, config: VllmConfig) -> None:
    one = layer(monkeypatch, config, **(KEEP_ALL | {"min_tokens": 60}))
    one.step([("a", 20)])
    query, found = one.step([("a", 1), ("b", 80)], seed=1)
    for name, span in (("a", slice(0, 1)), ("b", slice(1, 81))):
        close(found[span], dense(query[span], one.sequences[name].keys, one.sequences[name].values))
    assert dispatch.refusals() == {("sparse_prefill", "short-context"): 1, ("sparse_decode", "short-context"): 1}


@pytest.mark.parametrize("method", ["mean", "minmax"])
def test_a_budget_is_dense_attention_over_the_blocks_that_were_chosen(
    monkeypatch: pytest.MonkeyPatch, config: VllmConfig, method: str
) -> None:
    one = layer(monkeypatch, config, **(FEW | {"method": method}))
    one.step([("a", 3 * BLOCK)])
    query, found = one.step([("a", 5 * BLOCK)], seed=1)
    mine = one.sequences["a"]
    seen = seen_by_block(query, mine.keys, method, budget=3, sink=1, local=1, page=PAGE)
    assert 0.3 < seen.float().mean() < 0.5
    close(found, dense(query, mine.keys, mine.values, seen))


@pytest.mark.parametrize("method", ["mean", "minmax"])
def test_a_decode_with_a_budget_is_dense_attention_over_the_pages_that_were_chosen(
    monkeypatch: pytest.MonkeyPatch, config: VllmConfig, method: str
) -> None:
    one = layer(monkeypatch, config, **(FEW | {"method": method}))
    one.step([("a", 500)])
    for step in range(3):
        query, found = one.step([("a", 1)], seed=step + 1)
        mine = one.sequences["a"]
        seen = seen_by_page(query, mine.keys, method, budget=6, sink=2, local=2, page=PAGE)
        close(found, dense(query, mine.keys, mine.values, seen))


def test_an_early_layer_and_a_short_batch_stay_with_vllm(monkeypatch: pytest.MonkeyPatch, config: VllmConfig) -> None:
    early = layer(monkeypatch, config, index=1, **(KEEP_ALL | {"dense_layers": 2}))
    query, found = early.step([("a", 90)])
    close(found, dense(query, early.sequences["a"].keys, early.sequences["a"].values))
    early.step([("a", 1)])
    assert served() == {}
    assert dispatch.refusals() == {("sparse_attention", "dense-layer"): 1}


def test_the_backend_stays_vllms_in_everything_else() -> None:
    assert not SparseCpuBackend.is_sparse()
    assert SparseCpuBackend.get_name() == "CPU_ATTN"
