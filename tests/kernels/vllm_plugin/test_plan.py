from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from headrace.kernels import dispatch
from headrace.kernels.vllm_plugin.options import SparseOptions
from headrace.kernels.vllm_plugin.plan import Part, cut, plan_batch

OPTIONS = SparseOptions(min_tokens=1000, min_query=16)


@dataclass(frozen=True)
class Common:
    """The fields of vLLM's metadata that a plan reads."""

    query_start_loc_cpu: torch.Tensor
    query_start_loc: torch.Tensor
    seq_lens: torch.Tensor
    seq_lens_cpu_upper_bound: torch.Tensor | None
    num_reqs: int
    num_actual_tokens: int
    max_query_len: int
    max_seq_len: int
    block_table_tensor: torch.Tensor
    slot_mapping: torch.Tensor
    causal: bool | torch.Tensor = True
    positions: torch.Tensor | None = None
    is_prefilling: torch.Tensor | None = None
    req_idx: Any = None
    encoder_seq_lens: Any = None
    dcp_local_seq_lens: Any = None
    mm_req_doc_ranges: Any = None
    rswa_prefix_lens: Any = None
    _num_computed_tokens_cache: Any = None
    _token_to_req_indices_cache: Any = None

    def replace(self, **changed: Any) -> "Common":
        return replace(self, **changed)


def batch(queries: list[int], lengths: list[int], **changed: Any) -> Common:
    starts = torch.tensor([0, *queries]).cumsum(0).to(torch.int32)
    rows, tokens = len(queries), int(starts[-1])
    plain = Common(
        starts, starts, torch.tensor(lengths), torch.tensor(lengths), rows, tokens, max(queries), max(lengths),
        torch.arange(rows * 3).view(rows, 3), torch.arange(tokens),
    )  # fmt: skip
    return replace(plain, **changed)


@pytest.fixture(autouse=True)
def _counted() -> Iterator[None]:
    dispatch.forget_refusals()
    yield
    dispatch.forget_refusals()


def test_decodes_and_prompts_are_told_apart_and_each_decided_alone() -> None:
    plan = plan_batch(batch([1, 1, 40, 200], [3000, 9, 50, 200]), OPTIONS)
    assert plan.decodes == Part(0, 2, 0, 2, 1, 3000, is_ours=True)
    assert plan.prefills == Part(2, 4, 2, 242, 200, 200, is_ours=False)
    assert plan.left is plan.prefills
    assert dispatch.refusals() == {("sparse_prefill", "short-context"): 1}


def test_a_batch_of_long_prompts_has_no_decodes_and_nothing_is_left() -> None:
    plan = plan_batch(batch([512], [5000]), OPTIONS)
    assert plan.decodes.is_empty
    assert plan.prefills == Part(0, 1, 0, 512, 512, 5000, is_ours=True)
    assert plan.left is None
    assert dispatch.refusals() == {}


def test_a_decode_behind_a_prompt_belongs_to_the_prompts() -> None:
    plan = plan_batch(batch([1, 64, 1], [2000, 2000, 2000]), OPTIONS)
    assert (plan.decodes.last, plan.prefills.first, plan.prefills.last) == (1, 1, 3)


def test_without_lengths_on_the_host_the_longest_one_counts_for_all() -> None:
    assert plan_batch(batch([1, 64], [10, 4000], seq_lens_cpu_upper_bound=None), OPTIONS).decodes.is_ours


def test_rows_that_only_fill_up_a_graph_stay_with_the_decodes() -> None:
    padded = batch([1, 1, 0, 0], [2000, 2000, 0, 0], num_actual_tokens=4)
    plan = plan_batch(padded, OPTIONS)
    assert plan.decodes == Part(0, 4, 0, 4, 1, 2000, is_ours=True)
    assert plan.prefills.is_empty


def test_a_captured_graph_is_planned_for_the_longest_sequence_there_can_be() -> None:
    assert plan_batch(batch([1], [1]), OPTIONS, longest=8192).decodes == Part(0, 1, 0, 1, 1, 8192, is_ours=True)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"causal": False}, "non-causal"),
        ({"causal": torch.tensor([True])}, "non-causal"),
        ({"mm_req_doc_ranges": {}}, "exotic-batch"),
        ({"dcp_local_seq_lens": torch.tensor([1])}, "exotic-batch"),
    ],
)
def test_batches_out_of_the_ordinary_are_vllms(changed: dict[str, Any], reason: str) -> None:
    plan = plan_batch(batch([1, 64], [5000, 5000], **changed), OPTIONS)
    assert not plan.is_ours
    assert plan.left is None
    assert {why for _, why in dispatch.refusals()} == {reason}


def test_a_part_that_is_cut_out_begins_at_zero_and_keeps_its_rows() -> None:
    whole = batch([1, 1, 40, 20], [3000, 9, 50, 700], positions=torch.arange(62), _num_computed_tokens_cache=3)
    part = cut(whole, plan_batch(whole, OPTIONS).prefills)
    assert part.query_start_loc.tolist() == part.query_start_loc_cpu.tolist() == [0, 40, 60]
    assert (part.num_reqs, part.num_actual_tokens, part.max_query_len, part.max_seq_len) == (2, 60, 40, 700)
    assert part.block_table_tensor.tolist() == [[6, 7, 8], [9, 10, 11]]
    assert part.slot_mapping.tolist() == part.positions.tolist() == list(range(2, 62))
    assert part.seq_lens.tolist() == [50, 700]
    assert part._num_computed_tokens_cache is None
