import json
from collections.abc import Iterator, Sequence

import pytest
import torch
from vllm.config import VllmConfig

from headrace.kernels import dispatch
from headrace.kernels.vllm_plugin import attention, state
from headrace.kernels.vllm_plugin.attention_cpu import SparseCpuBackend
from tests.support.kernels.layers import HEADS, KV_HEADS, PAGE, OneLayer, current_config, dense

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


def scores_of(q: torch.Tensor, keys: torch.Tensor, method: str, size: int = PAGE) -> torch.Tensor:
    """Return [Hkv, n] scores of queries [n, H, D] for each `size` of keys [S, Hkv, D], one at a time."""
    group, found = HEADS // KV_HEADS, torch.empty(KV_HEADS, -(-len(keys) // size))
    for head in range(KV_HEADS):
        mine = q[:, head * group : (head + 1) * group]
        for page in range(found.shape[1]):
            part = keys[page * size : (page + 1) * size, head]
            if method == "mean":
                found[head, page] = (mine.mean(0) @ part.mean(0)).max()
            else:
                bound = torch.maximum(mine * part.amin(0), mine * part.amax(0)).sum(-1)
                found[head, page] = bound.mean(0).max()
    return found


def kept(scores: torch.Tensor, *, own: int, budget: int, sink: int, local: int) -> set[int]:
    """Return the blocks that are kept of `scores` up to block `own`, by hand."""
    always = {block for block in range(own + 1) if block < sink or block > own - local}
    rest = sorted(set(range(own + 1)) - always, key=lambda block: -float(scores[block]))
    return always | set(rest[: max(0, budget - len(always))])


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
    total, before = len(mine.keys), 3 * BLOCK
    seen = torch.zeros(HEADS, len(query), total, dtype=torch.bool)
    for row in range(5):
        q = query[row * BLOCK : (row + 1) * BLOCK]
        # Bounds are those of pages, of which a block has the largest; its mean is that of all its keys.
        scores = scores_of(q, mine.keys, method, BLOCK if method == "mean" else PAGE)
        for head in range(KV_HEADS):
            blocks = scores[head].view(total // BLOCK, -1).amax(-1)
            for block in kept(blocks, own=before // BLOCK + row, budget=3, sink=1, local=1):
                heads = slice(head * HEADS // KV_HEADS, (head + 1) * HEADS // KV_HEADS)
                seen[heads, row * BLOCK : (row + 1) * BLOCK, block * BLOCK : (block + 1) * BLOCK] = True
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
        pages = scores_of(query, mine.keys, method)
        seen = torch.zeros(HEADS, 1, len(mine.keys), dtype=torch.bool)
        for head in range(KV_HEADS):
            for page in kept(pages[head], own=(len(mine.keys) - 1) // PAGE, budget=6, sink=2, local=2):
                heads = slice(head * HEADS // KV_HEADS, (head + 1) * HEADS // KV_HEADS)
                seen[heads, 0, page * PAGE : (page + 1) * PAGE] = True
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
