from dataclasses import replace

import pytest
import torch

from headrace.kernels.sparse_attention.select import _launch, _torch, reference
from headrace.kernels.sparse_attention.select.choice import Choice, Given
from tests.support.kernels.bf16 import exact_bf16
from tests.support.kernels.block_choice import batch, lists_of, reference_scores, visible_scores
from tests.support.kernels.canaries import allocations_guarded, guard
from tests.support.kernels.strides import far
from tests.support.kernels.tolerance import close

pytestmark = pytest.mark.usefixtures("kernels")


def random_batch(dtype: torch.dtype, **sizes: object) -> tuple[Given, Choice]:
    given, choice = batch(**sizes)  # type: ignore[arg-type]
    draw = torch.Generator().manual_seed(1)
    kmeta = torch.randn(given.kmeta.shape, generator=draw)
    kmeta = kmeta.sort(1).values if choice.is_minmax else kmeta
    return given._replace(q=torch.randn(given.q.shape, generator=draw).to(dtype), kmeta=kmeta.to(dtype)), choice


@pytest.mark.parametrize(
    ("dtype", "minmax", "sizes"),
    [
        (torch.float32, False, {"heads": 6, "size": 20, "block_kv": 8}),
        (torch.float16, True, {"heads": 2, "size": 24, "block_kv": 8}),
        (torch.bfloat16, True, {"size": 16}),
        (torch.bfloat16, False, {"is_decode": True, "heads": 8, "size": 40}),
        (torch.float16, True, {"is_decode": True, "heads": 3, "kv_heads": 1}),
    ],
)
def test_scores_are_those_of_the_reference_and_nothing_else_is_touched(
    dtype: torch.dtype, *, minmax: bool, sizes: dict[str, object]
) -> None:
    given, choice = random_batch(dtype, minmax=minmax, **sizes)
    guards = [guard(tensor) for tensor in given]
    with allocations_guarded(), exact_bf16():
        found = _launch.score(Given(*(each.tensor for each in guards)), choice)
    for each in guards:
        each.check()
    close(visible_scores(found, given, choice), reference_scores(given, choice), dtype, given.q.shape[-1])


def test_scores_follow_any_strides_past_32_bits() -> None:
    given, choice = random_batch(torch.float16, query_lens=(3,), prefixes=(9,), kv_heads=1, heads=2, minmax=True)
    used = given.block_table[0].long()
    meta = given.kmeta[used]
    given.block_table.copy_(torch.tensor([[0, 1, 2]]))
    near = given._replace(kmeta=meta)
    wide = given._replace(kmeta=far(meta), q=far(given.q))
    found = _launch.score(wide, choice)
    close(visible_scores(found, near, choice), reference_scores(near, choice), torch.float16, 16)
    by_head = given.q.transpose(0, 1).contiguous().transpose(0, 1)
    assert torch.equal(_launch.score(near._replace(q=by_head), choice), _launch.score(near, choice))


@pytest.mark.parametrize("share", [None, 0.8])
def test_any_scores_are_kept_in_the_order_of_the_reference(share: float | None) -> None:
    given, choice = batch((4, 4), (92, 31), kv_heads=1, sink=1, local=2, share=share, budget=9 if share is None else 99)
    scores = torch.randint(-2, 3, (1, 2, choice.max_blocks), generator=torch.Generator().manual_seed(4)).float()
    scores[0, 0, [3, 7, 8]] = torch.tensor([torch.nan, -torch.inf, -0.0])
    scores[0, 1, :5] = torch.tensor([0.0, -0.0, 0.0, torch.nan, 2.0])
    width = -(-choice.max_blocks // 16) * 16
    padded = guard(torch.full((1, 2, width), torch.nan))
    padded.tensor[..., : choice.max_blocks] = scores
    with allocations_guarded():
        found = _launch.keep(padded.tensor[..., : choice.max_blocks], given, choice)
    wanted = [
        reference.kept(scores[0, row, :count].tolist(), count * 4 - 4, choice) for row, count in ((0, 24), (1, 9))
    ]
    assert lists_of(*found) == [wanted]


@pytest.mark.parametrize("is_decode", [False, True])
def test_thousands_of_blocks_are_kept_exactly(*, is_decode: bool) -> None:
    prefixes = (4 * 2500 - 1,)
    given, choice = batch((1,), prefixes, kv_heads=1, heads=1, is_decode=is_decode, budget=700, sink=3, local=4)
    scores = torch.randn(1, 1, 2500, generator=torch.Generator().manual_seed(2)).round(decimals=2)
    indices, counts = _launch.keep(scores, given, choice)
    wanted = reference.kept(scores[0, 0].tolist(), prefixes[0], choice)
    if is_decode:
        wanted = given.block_table[0, wanted].tolist()
    assert indices.flatten().tolist() == wanted
    assert int(counts) == (2800 if is_decode else 700)


def test_a_choice_of_thousands_by_share_reaches_it() -> None:
    given, choice = batch((1,), (4 * 2500 - 1,), kv_heads=1, heads=1, budget=2500, share=0.6)
    scores = torch.randn(1, 1, 2500, generator=torch.Generator().manual_seed(2))
    indices, counts = _launch.keep(scores, given, choice)
    weight = scores[0, 0].double().softmax(-1)
    kept = indices[0, 0, : int(counts)].long()
    assert float(weight[kept].sum()) >= 0.6 - 1e-5
    least = min(float(weight[block]) for block in kept.tolist() if 1 <= block < 2499)
    assert float(weight[kept].sum()) - least < 0.6 + 1e-5


def test_lengths_past_the_cap_are_cut_to_it() -> None:
    given, choice = batch(prefixes=(30,), is_decode=True, kv_heads=1, heads=1)
    with allocations_guarded():
        pages, tokens = _launch.select(given, replace(choice, max_blocks=5))
    assert int(tokens) == 12
    assert pages[0, 0, -1] == given.block_table[0, 4]
    on_torch = _torch.select(given, replace(choice, max_blocks=5))
    assert torch.equal(on_torch[0], pages)
    assert torch.equal(on_torch[1], tokens)


@pytest.mark.full
@pytest.mark.parametrize("minmax", [False, True])
@pytest.mark.parametrize("group", [1, 8])
@pytest.mark.parametrize("size", [80, 128])
@pytest.mark.parametrize("pages", [0, 1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_size_is_the_reference(dtype: torch.dtype, *, pages: int, size: int, group: int, minmax: bool) -> None:
    """pages: of a block, 0 for decode."""
    sizes = {"page_size": 16, "block_kv": 16 * max(1, pages), "block_q": 32 if pages else 1, "is_decode": not pages}
    given, choice = random_batch(
        dtype, minmax=minmax, query_lens=(33, 0, 7), prefixes=(100, 0, 1), heads=2 * group, size=size, **sizes
    )
    with exact_bf16():
        found = _launch.score(given, choice)
    close(visible_scores(found, given, choice), reference_scores(given, choice), dtype, given.q.shape[-1])


@pytest.mark.full
@pytest.mark.parametrize("share", [None, 0.7])
@pytest.mark.parametrize("blocks", [1, 2, 31, 33, 513, 2049])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_number_of_blocks_is_kept_as_the_reference_keeps(seed: int, blocks: int, share: float | None) -> None:
    given, choice = batch(
        (1,), (4 * blocks - 1,), kv_heads=1, heads=1, budget=1 + blocks // 3, sink=seed, local=1 + seed, share=share
    )
    scores = torch.randn(1, 1, blocks, generator=torch.Generator().manual_seed(seed)).round(decimals=1)
    found = _launch.keep(scores, given, choice)
    assert lists_of(*found) == [[reference.kept(scores[0, 0].tolist(), 4 * blocks - 1, choice)]]
