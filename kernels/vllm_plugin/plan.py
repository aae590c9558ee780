"""How one batch is shared between our kernels and vLLM's: decodes first, then prompt parts, each one's or the other's.

Made once a step on the host, from what vLLM knows there (never from a tensor on a GPU), and used by every layer.
Metadata are vLLM's `CommonAttentionMetadata`, of which only the fields named here are read.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from headrace.kernels.vllm_plugin import state
from headrace.kernels.vllm_plugin.eligibility import PartFacts, refuse_decode, refuse_prefill
from headrace.kernels.vllm_plugin.options import SparseOptions

PREFILL: Final = "sparse_prefill"
DECODE: Final = "sparse_decode"
# A batch with any of these is left to vLLM as a whole.
EXOTIC: Final = ("encoder_seq_lens", "dcp_local_seq_lens", "mm_req_doc_ranges", "rswa_prefix_lens")
# What has one row a sequence, and what has one row a token.
BY_ROW: Final = ("seq_lens", "block_table_tensor", "seq_lens_cpu_upper_bound", "is_prefilling", "req_idx")
BY_TOKEN: Final = ("slot_mapping", "positions")


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive sequences of a batch: rows [first, last) and their tokens [begin, end)."""

    first: int
    last: int
    begin: int
    end: int
    most_queries: int
    most_tokens: int
    is_ours: bool = False

    @property
    def is_empty(self) -> bool:
        """True where there is nothing to do."""
        return self.first == self.last or self.end <= self.begin


@dataclass(frozen=True, slots=True)
class Plan:
    """Who serves what of a batch. theirs: vLLM's metadata for its part, where only one part is ours."""

    decodes: Part
    prefills: Part
    theirs: Any = None

    @property
    def is_ours(self) -> bool:
        """True where any part is ours."""
        return self.decodes.is_ours or self.prefills.is_ours

    @property
    def left(self) -> Part | None:
        """The part that vLLM serves beside ours, None where there is none."""
        parts = [part for part in (self.decodes, self.prefills) if not part.is_ours and not part.is_empty]
        return parts[0] if self.is_ours and parts else None


def plan_batch(common: Any, options: SparseOptions, *, longest: int | None = None) -> Plan:
    """Return the plan of a batch, counting what is refused.

    longest: the longest sequence that may ever come, for a captured graph, which serves later batches unasked.
    """
    starts = [int(start) for start in common.query_start_loc_cpu.tolist()][: common.num_reqs + 1]
    queries = [end - begin for begin, end in itertools.pairwise(starts)]
    lengths = _lengths(common, longest)
    split = next((row for row, count in enumerate(queries) if count > 1), len(queries))
    # Rows that only fill up a graph have no query of their own and still take part as decodes.
    filled = common.num_actual_tokens if split == len(queries) else starts[split]
    spans = {DECODE: (0, split, 0, filled), PREFILL: (split, len(queries), filled, starts[-1])}
    parts = {
        op: Part(first, last, begin, end, max(queries[first:last], default=0), max(lengths[first:last], default=0))
        for op, (first, last, begin, end) in spans.items()
    }
    decodes, prefills = (_decide(part, op, common, options) for op, part in parts.items())
    return Plan(decodes, prefills)


def cut(common: Any, part: Part) -> Any:
    """Return the metadata of one part of a batch."""
    rows = {name: _rows(getattr(common, name), part.first, part.last) for name in BY_ROW}
    tokens = {name: _rows(getattr(common, name), part.begin, part.end) for name in BY_TOKEN}
    return common.replace(
        query_start_loc=common.query_start_loc[part.first : part.last + 1] - part.begin,
        query_start_loc_cpu=common.query_start_loc_cpu[part.first : part.last + 1] - part.begin,
        num_reqs=part.last - part.first,
        num_actual_tokens=part.end - part.begin,
        max_query_len=part.most_queries,
        max_seq_len=part.most_tokens,
        _num_computed_tokens_cache=None,
        _token_to_req_indices_cache=None,
        **rows,
        **tokens,
    )


def _lengths(common: Any, longest: int | None) -> Sequence[int]:
    """An upper bound on the length of each sequence."""
    if longest is not None or common.seq_lens_cpu_upper_bound is None:
        return [longest or int(common.max_seq_len)] * int(common.num_reqs)
    return [int(length) for length in common.seq_lens_cpu_upper_bound.tolist()][: common.num_reqs]


def _decide(part: Part, op: str, common: Any, options: SparseOptions) -> Part:
    if part.is_empty:
        return part
    facts = PartFacts(
        most_queries=part.most_queries,
        most_tokens=part.most_tokens,
        is_causal=common.causal is True,
        is_exotic=any(getattr(common, name) is not None for name in EXOTIC),
    )
    reason = (refuse_decode if op == DECODE else refuse_prefill)(facts, options)
    if reason is not None:
        state.refuse(op, reason)
    return replace(part, is_ours=reason is None)


def _rows(values: Any, first: int, last: int) -> Any:
    return None if values is None else values[first:last]
