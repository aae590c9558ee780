"""The kernels of choosing blocks as they are launched, for compiling them ahead of time."""

from collections.abc import Iterator
from typing import Any, Final

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.select import _kernel
from headrace.kernels.sparse_attention.select._launch import KEEP, POOL, SCORE
from headrace.kernels.variant import Variant

HEADS_A_GROUP: Final = 4
HEAD_DIM: Final = 128
BLOCK: Final = 64

_POOL: Final = {
    "q_ptr": "*bf16", "cu_ptr": "*i32", "pooled_ptr": "*bf16", "q_t": "i32", "q_h": "i32", "H": "i32", "D": "i32",
    "rows": "i32",
}  # fmt: skip
_SCORE: Final = {
    "q_ptr": "*bf16", "meta_ptr": "*bf16", "table_ptr": "*i32", "cu_ptr": "*i32", "seq_ptr": "*i32",
    "scores_ptr": "*fp32", "scale": "fp32", "q_r": "i32", "q_s": "i32", "q_h": "i32", "meta_p": "i32",
    "meta_s": "i32", "meta_h": "i32", "table_b": "i32", "score_h": "i32", "score_r": "i32", "P": "i32", "D": "i32",
    "rows": "i32", "cap": "i32", "table_pages": "i32",
}  # fmt: skip
_KEEP: Final = {
    "scores_ptr": "*fp32", "table_ptr": "*i32", "cu_ptr": "*i32", "seq_ptr": "*i32", "idx_ptr": "*i32",
    "cnt_ptr": "*i32", "score_h": "i32", "score_r": "i32", "table_b": "i32", "idx_h": "i32", "idx_r": "i32",
    "cnt_h": "i32", "cnt_r": "i32", "budget": "i32", "sink": "i32", "local": "i32", "share": "fp32", "rows": "i32",
    "cap": "i32", "max_listed": "i32",
}  # fmt: skip
_LOOSE: Final = {"rows", "cap", "table_pages", "budget", "sink", "local", "share", "max_listed", "scale", "cnt_h", "P"}


def variants(arch: str) -> tuple[Variant, ...]:
    """Return each kernel at each row of its table, with mean and with min and max, in prefill and in decode."""
    rows = tuned.table(arch)
    return (*_pools(rows[POOL]), *_scores(rows[SCORE]), *_keeps(rows[KEEP]))


def _pools(rows: Any) -> Iterator[Variant]:  # noqa: ANN401  (rows of JSON)
    for row in rows:
        for split in (False, True):
            sizes = {"BLOCK_Q": BLOCK, "BLOCK_T": min(row["block_t"], BLOCK), "BLOCK_D": HEAD_DIM, "SPLIT": split}
            yield _variant(_kernel.pool_kernel, _POOL, sizes, row, f"64 queries, D128, split {split}")


def _scores(rows: Any) -> Iterator[Variant]:  # noqa: ANN401  (rows of JSON)
    for row in rows:
        decode = "max_m" in row
        for page, minmax in ((64, False), (64, True), (16, False), (32, True)):
            kv = page if decode else BLOCK
            sizes = {
                "G": HEADS_A_GROUP, "GROUP": HEADS_A_GROUP, "PAGE": page, "PAGES": kv // page,
                "BLOCK_Q": 1 if decode else BLOCK, "BLOCK_M": row["block_m"], "BLOCK_N": row["block_n"],
                "BLOCK_D": HEAD_DIM, "MINMAX": minmax, "DECODE": decode,
            }  # fmt: skip
            told = f"{'decode' if decode else 'prefill'}, pages of {page}, {'min and max' if minmax else 'mean'}"
            yield _variant(_kernel.score_kernel, _SCORE, sizes, row, told)


def _keeps(rows: Any) -> Iterator[Variant]:  # noqa: ANN401  (rows of JSON)
    for row in rows:
        blocks = row.get("max_n", 8192)
        for decode in (False, True):
            for top_p in (False, True):
                sizes = {
                    "BLOCK_Q": 1 if decode else BLOCK, "BLOCK_KV": BLOCK, "BLOCK_N": blocks, "TOP_P": top_p,
                    "DECODE": decode,
                }  # fmt: skip
                told = f"{'decode' if decode else 'prefill'}, {blocks} blocks, {'top-p' if top_p else 'budget'}"
                yield _variant(_kernel.keep_kernel, _KEEP, sizes, row, told)


def _variant(
    kernel: Any,  # noqa: ANN401  (a triton function)
    types: dict[str, str],
    constants: dict[str, Any],
    row: dict[str, int],
    told: str,
) -> Variant:
    op = {_kernel.pool_kernel: POOL, _kernel.score_kernel: SCORE, _kernel.keep_kernel: KEEP}[kernel]
    role = "index" if op != SCORE else "decode" if constants["DECODE"] else "prefill"
    return Variant(
        op=op,
        kernel=kernel,
        role=role,
        shape=told,
        types=types,
        constants=constants,
        aligned=frozenset(types) - _LOOSE,
        num_warps=row["num_warps"],
        num_stages=row["num_stages"],
        weights=frozenset({"meta_ptr"} if op == SCORE else ()),
    )
