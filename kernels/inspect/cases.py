"""Calls of the public ops at named sizes: small ones to count bytes of, large ones to time; the same builders for both.

Each knows the bytes its op cannot do without: every input that is needed once, every output once.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import torch

from headrace.kernels.inspect.roofline import Experts, Heads

Weights = Literal["bf16", "int8", "int4"]
Op: TypeAlias = Callable[..., Any]
GROUP: Final = 128
ALIGNMENT_ROWS: Final = 16
PREFILL_ROWS: Final = 128
LARGE_BATCH: Final = 64
PAGE: Final = 16
BLOCK: Final = 64


@dataclass(frozen=True, slots=True)
class Where:
    """Device, floating type and seed of a case's tensors; another seed gives other tensors of the same sizes."""

    device: str = "cpu"
    dtype: torch.dtype = torch.float16
    seed: int = 0

    def generator(self) -> torch.Generator:
        """Return a generator that gives this seed's numbers."""
        return torch.Generator(self.device).manual_seed(self.seed)

    def normal(self, *shape: int) -> torch.Tensor:
        """Return normal numbers of the case's type."""
        return torch.randn(shape, generator=self.generator(), device=self.device, dtype=self.dtype)

    def whole(self, low: int, high: int, *shape: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
        """Return whole numbers from low to high - 1."""
        return torch.randint(low, high, shape, generator=self.generator(), device=self.device, dtype=dtype)

    def order(self, count: int) -> torch.Tensor:
        """Return 0..count - 1 in any order, int32."""
        return torch.randperm(count, generator=self.generator(), device=self.device).to(torch.int32)


@dataclass(frozen=True, slots=True)
class Case:
    """One call. summands: how many products a sum of its results has, for tolerances.

    inputs: its tensors and numbers by name, for calling something else with the same. flops: of the products it needs.
    """

    op: str
    shape: str
    run: Callable[[], object]
    compulsory_bytes: int
    inputs: Mapping[str, Any]
    summands: int = 1
    flops: float = 0.0


def gate(tokens: int, layer: Experts, where: Where) -> Case:
    """Softmax scores and their best."""
    moe_gate = _op("expert_routing.gate", "moe_gate")

    logits = where.normal(tokens, layer.experts)
    needed = size(logits) + 8 * tokens * layer.top_k
    words = f"T={tokens} E={layer.experts} k={layer.top_k}"
    given = {"logits": logits, "top_k": layer.top_k}
    return Case("moe_gate", words, lambda: moe_gate(logits, layer.top_k), needed, given, layer.experts)


def align(tokens: int, layer: Experts, where: Where) -> Case:
    """Ids put in the order of their experts."""
    moe_align = _op("expert_routing.align", "moe_align")

    ids, rows = routing(tokens, layer, where), block_rows(tokens)
    made = moe_align(ids, layer.experts, rows)
    words = f"T={tokens} E={layer.experts} k={layer.top_k}"
    given = {"ids": ids, "num_experts": layer.experts, "block_m": rows}
    return Case("moe_align", words, lambda: moe_align(ids, layer.experts, rows), size(ids, *made), given)


def gate_and_up(tokens: int, layer: Experts, weights: Weights, where: Where) -> Case:
    """Return the first product of the experts, with SwiGLU."""
    moe_align = _op("expert_routing.align", "moe_align")
    moe_gemm = _op("expert_routing.gemm", "moe_gemm")

    ids = routing(tokens, layer, where)
    order = moe_align(ids, layer.experts, block_rows(tokens))
    a = where.normal(tokens, layer.hidden)
    w, scale = matrices(layer.experts, 2 * layer.inner, layer.hidden, weights, where)
    share = int(torch.unique(ids).numel()) / layer.experts
    needed = int(share * size(w, scale)) + size(a) + tokens * layer.top_k * layer.inner * a.element_size()
    return Case(
        "moe_gemm",
        f"{layer.name} gate and up, T={tokens} {weights}",
        lambda: moe_gemm(a, w, scale, None, order, top_k=layer.top_k, mul_weight=None, swiglu=True),
        needed,
        {"a": a, "w": w, "scale": scale, "ids": ids, "top_k": layer.top_k},
        layer.hidden,
        4 * tokens * layer.top_k * layer.hidden * layer.inner,
    )


def experts(tokens: int, layer: Experts, weights: Weights, where: Where) -> Case:
    """Return both products of the experts and the sum over each token's."""
    fused_experts = _op("expert_routing.fused", "fused_experts")
    quantised = _op("quant_layout", "ExpertQuant")

    ids = routing(tokens, layer, where)
    shares = torch.full(ids.shape, 1 / layer.top_k, device=where.device)
    x = where.normal(tokens, layer.hidden)
    w13, s13 = matrices(layer.experts, 2 * layer.inner, layer.hidden, weights, where)
    w2, s2 = matrices(layer.experts, layer.hidden, layer.inner, weights, where)
    quant = None if s13 is None or s2 is None else quantised(s13, s2)
    share = int(torch.unique(ids).numel()) / layer.experts
    between = 2 * tokens * layer.top_k * (layer.hidden + layer.inner) * x.element_size()
    return Case(
        "fused_experts",
        f"{layer.name} T={tokens} {weights}",
        lambda: fused_experts(x, w13, w2, shares, ids, quant=quant),
        int(share * size(w13, w2, s13, s2)) + between,
        {"x": x, "w13": w13, "w2": w2, "s13": s13, "s2": s2, "weights": shares, "ids": ids},
        layer.hidden,
        6 * tokens * layer.top_k * layer.hidden * layer.inner,
    )


def prefill(queries: int, before: int, kept: float, heads: Heads, where: Where) -> Case:
    """One sequence's chunk over the first block, its own block and others, `kept` of all that are visible."""
    sparse_prefill = _op("sparse_attention.prefill", "sparse_prefill")

    context = before + queries
    k_cache, v_cache, table = cache(context, heads, where)
    q = where.normal(queries, heads.query, heads.dim)
    idx, cnt = lists(queries, before, kept, heads, where)
    cu_q = torch.tensor([0, queries], dtype=torch.int32, device=where.device)
    lens = torch.tensor([context], dtype=torch.int32, device=where.device)
    unique = sum(int(torch.unique(row[row >= 0]).numel()) for row in idx)
    keys = 2 * unique * BLOCK * heads.dim * q.element_size()
    return Case(
        "sparse_prefill",
        f"{queries} at {before}, {kept:.0%} of blocks",
        lambda: sparse_prefill(
            q, k_cache, v_cache, table, cu_q, lens, idx, cnt, block_q=BLOCK, block_kv=BLOCK, max_seqlen_q=queries
        ),
        keys + 2 * size(q) + size(idx, cnt),
        {"q": q, "k": k_cache, "v": v_cache, "table": table, "cu_q": cu_q, "lens": lens, "idx": idx, "cnt": cnt},
        context,
        4 * int(cnt.sum()) * BLOCK * BLOCK * heads.dim * heads.query // heads.kv,
    )


def decode(context: int, batch: int, kept: int, heads: Heads, where: Where) -> Case:
    """One token of each sequence over `kept` tokens of whole pages, another choice for each head."""
    sparse_decode = _op("sparse_attention.decode", "sparse_decode")

    k_cache, v_cache, _ = cache(batch * context, heads, where)
    q = where.normal(batch, heads.query, heads.dim)
    most = -(-kept // PAGE)
    pages = where.whole(0, k_cache.shape[0], batch, heads.kv, most)
    valid = torch.full((batch, heads.kv), kept, dtype=torch.int32, device=where.device)
    keys = 2 * batch * heads.kv * kept * heads.dim * q.element_size()
    return Case(
        "sparse_decode",
        f"{context} B={batch}, top {kept}",
        lambda: sparse_decode(q, k_cache, v_cache, pages, valid),
        keys + 2 * size(q) + size(pages, valid) + 4 * batch * heads.query,
        {"q": q, "k": k_cache, "v": v_cache, "context": context},
        kept,
    )


def select(queries: int, before: int, kept: float, heads: Heads, where: Where) -> Case:
    """Choosing those blocks by the mean key of each."""
    select_blocks = _op("sparse_attention.select", "select_blocks")

    context = before + queries
    blocks = -(-context // BLOCK)
    q = where.normal(queries, heads.query, heads.dim)
    means = where.normal(blocks, heads.kv, heads.dim)
    table = where.order(blocks)[None]
    cu_q = torch.tensor([0, queries], dtype=torch.int32, device=where.device)
    lens = torch.tensor([context], dtype=torch.int32, device=where.device)
    budget = max(2, int(kept * blocks))
    return Case(
        "select_blocks",
        f"{queries} at {before}, {kept:.0%} of blocks",
        lambda: select_blocks(
            q,
            means,
            table,
            cu_q,
            budget=budget,
            sink=1,
            local=1,
            max_seqlen_q=queries,
            max_seqlen_k=context,
            seq_lens=lens,
        ),
        size(q, means, table) + 4 * heads.kv * -(-queries // BLOCK) * (budget + 1),
        {"q": q, "means": means},
        heads.dim,
    )


def counted() -> Iterator[tuple[str, Callable[[], Case]]]:
    """Yield op and builder of the cases whose bytes are counted: small, for the interpreter, but with tails."""
    layer = Experts("8 experts of 256 x 128", hidden=256, inner=128, experts=8, top_k=2)
    heads = Heads(query=8, kv=2, dim=128)
    where = Where()
    products: tuple[tuple[int, Weights], ...] = ((1, "bf16"), (1, "int4"), (4, "int8"), (4, "int4"))
    for tokens, weights in products:
        yield "moe_gemm", partial(gate_and_up, tokens, layer, weights, where)
    yield "sparse_decode", partial(decode, 2048, 1, 2000, heads, where)
    yield "sparse_decode", partial(decode, 1024, 3, 1000, heads, where)
    yield "sparse_prefill", partial(prefill, 256, 256, 0.5, Heads(query=2, kv=1, dim=64), where)
    yield "moe_gate", partial(gate, 33, layer, where)
    yield "moe_align", partial(align, 33, layer, where)


def _op(package: str, name: str) -> Op:
    """Return a function of an op's package, imported only now: ops list their variants with this package's words."""
    op: Op = getattr(importlib.import_module(f"headrace.kernels.{package}"), name)
    return op


def size(*tensors: torch.Tensor | None) -> int:
    """Return how many bytes the tensors hold."""
    return sum(each.numel() * each.element_size() for each in tensors if each is not None)


def block_rows(tokens: int) -> int:
    """Return the rows of a block that suit a batch."""
    return ALIGNMENT_ROWS if tokens <= LARGE_BATCH else PREFILL_ROWS


def routing(tokens: int, layer: Experts, where: Where) -> torch.Tensor:
    """Return ids [tokens, top_k] int32, each token's different, all experts as likely."""
    luck = torch.rand(tokens, layer.experts, generator=where.generator(), device=where.device)
    return luck.topk(layer.top_k, dim=1).indices.to(torch.int32)


def matrices(
    count: int, rows: int, columns: int, weights: Weights, where: Where
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return `count` random matrices and, for integer ones, their scales."""
    if weights == "bf16":
        return where.normal(count, rows, columns) * columns**-0.5, None
    scale = torch.full((count, rows, columns // GROUP), columns**-0.5 / 8, dtype=where.dtype, device=where.device)
    if weights == "int4":
        return where.whole(0, 256, count, rows, columns // 2, dtype=torch.uint8), scale
    return where.whole(-127, 128, count, rows, columns, dtype=torch.int8), scale


def cache(context: int, heads: Heads, where: Where) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a paged cache of keys and values and the table of one sequence whose pages lie in any order."""
    pages = -(-context // PAGE)
    both = where.normal(2, pages, PAGE, heads.kv, heads.dim)
    return both[0], both[1], where.order(pages)[None]


def lists(queries: int, before: int, kept: float, heads: Heads, where: Where) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ascending block lists with the first and the last visible block in each, the rest by chance."""
    rows = -(-queries // BLOCK)
    last = (before + torch.arange(1, rows + 1, device=where.device) * BLOCK).clamp(max=before + queries)
    visible = -(-last // BLOCK)
    blocks = int(visible[-1])
    counts = (visible * kept).ceil().clamp(min=1).to(torch.int32)
    number = torch.arange(blocks, device=where.device)
    luck = torch.rand(heads.kv, rows, blocks, generator=where.generator(), device=where.device)
    luck = torch.where((number == 0) | (number == visible[:, None] - 1), 2.0 + number, luck)
    luck = torch.where(number < visible[:, None], luck, -1.0)
    chosen = luck.argsort(dim=-1, descending=True)[..., : int(counts.max())]
    live = torch.arange(chosen.shape[-1], device=where.device) < counts[:, None]
    idx = torch.where(live, chosen, blocks).sort(dim=-1).values
    return torch.where(live, idx, -1).to(torch.int32), counts.expand(heads.kv, rows).contiguous()
