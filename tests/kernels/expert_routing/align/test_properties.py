from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.kernels import tuned
from headrace.kernels.expert_routing.align import moe_align

pytestmark = pytest.mark.engine_env

Call = tuple[torch.Tensor, int, int]
SMALL = {"block_n": 16, "block_j": 8, "block_fill": 64, "num_warps": 1, "num_stages": 1}
CHUNKED = {"block_n": 8, "block_j": 8, "block_fill": 64, "block_p": 2, "block_scan": 4, "num_warps": 1, "num_stages": 1}


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """Draw ids with some away, a number of experts, and a block size."""
    experts = draw(st.integers(1, 9))
    top_k = draw(st.integers(1, 4))
    flat = draw(st.lists(st.integers(-1, experts - 1), max_size=10))
    flat = flat[: len(flat) // top_k * top_k]
    return torch.tensor(flat, dtype=torch.int32).view(-1, top_k), experts, draw(st.sampled_from([1, 2, 3, 4]))


@pytest.fixture(scope="module", params=["torch", "one program", "three launches"])
def _path(request: pytest.FixtureRequest) -> Iterator[None]:
    row = CHUNKED if request.param == "three launches" else SMALL
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADRACE_KERNELS", "torch" if request.param == "torch" else "triton")
        patch.setattr(tuned, "choose", lambda *_, **__: row)
        yield


few = settings(max_examples=15, deadline=None, derandomize=True, database=None)


@pytest.mark.usefixtures("_path")
@given(calls())
@few
def test_the_lists_are_a_permutation_of_the_ids_that_are_here(call: Call) -> None:
    ids, experts, block_m = call
    sorted_ids, _, num_post = moe_align(ids, experts, block_m)
    kept = [place for place, expert in enumerate(ids.flatten().tolist()) if expert >= 0]
    assert sorted([one for one in sorted_ids.tolist() if one < ids.numel()]) == kept
    assert set(sorted_ids[int(num_post) :].tolist()) <= {ids.numel()}


@pytest.mark.usefixtures("_path")
@given(calls())
@few
def test_a_block_has_rows_of_one_expert_ascending_and_full_but_for_the_last(call: Call) -> None:
    ids, experts, block_m = call
    flat, pad = ids.flatten().tolist(), ids.numel()
    sorted_ids, expert_ids, num_post = moe_align(ids, experts, block_m)
    in_use = [one for one in expert_ids.tolist() if one >= 0]
    assert in_use == sorted(in_use) == expert_ids[: len(in_use)].tolist()
    assert int(num_post) == len(in_use) * block_m
    rows: dict[int, list[int]] = {}
    for expert, block in zip(in_use, sorted_ids.view(-1, block_m).tolist(), strict=False):
        assert {flat[place] for place in block if place < pad} == {expert}
        rows.setdefault(expert, []).extend(block)
    for mine in rows.values():
        assert mine == sorted(mine)
        assert sum(place == pad for place in mine) < block_m


def test_what_runs_in_three_launches_would_run_in_one() -> None:
    rows: dict[str, Any] = {"one": {**SMALL, "block_n": 64}, "three": CHUNKED}
    ids = torch.randint(-1, 9, (20, 3), generator=torch.Generator().manual_seed(3), dtype=torch.int32)
    lists = []
    for row in rows.values():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HEADRACE_KERNELS", "triton")
            patch.setattr(tuned, "choose", lambda *_, row=row, **__: row)
            lists.append([one.tolist() for one in moe_align(ids, 9, 4)])
    assert lists[0] == lists[1]
