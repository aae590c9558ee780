"""The plainest statement of block-list attention over a paged cache, in whatever floating type it is given."""

import torch

Attended = tuple[torch.Tensor, torch.Tensor]


def sparse_prefill(  # noqa: PLR0917  (as attention is called everywhere)
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    block_table: torch.Tensor,
    cu_q: torch.Tensor,
    seq_lens: torch.Tensor,
    idx: torch.Tensor,
    cnt: torch.Tensor,
    *,
    window: int | None = None,
    sink: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    block_q: int = 64,
    block_kv: int = 64,
    max_seqlen_q: int,
) -> Attended:
    """Return o [T, H, D] and lse [H, T], one query of one head after the other."""
    out, lse = torch.zeros_like(q), q.new_full((q.shape[1], q.shape[0]), float("-inf"))
    blocks_a_sequence = -(-max_seqlen_q // block_q)
    for sequence, kv_len in enumerate(seq_lens.tolist()):
        first, stop = cu_q[sequence : sequence + 2].tolist()
        for token in range(first, stop):
            position = kv_len - stop + token
            query_block = sequence * blocks_a_sequence + (token - first) // block_q
            for head in range(q.shape[1]):
                kv_head = head * k_cache.shape[2] // q.shape[1]
                listed = idx[kv_head, query_block, : int(cnt[kv_head, query_block])].tolist()
                seen = [
                    at
                    for block in listed
                    for at in range(max(block, 0) * block_kv, min((block + 1) * block_kv, kv_len, position + 1))
                    if window is None or position - at < window or at < sink
                ]
                keys, values = _gather(k_cache, v_cache, block_table[sequence].tolist(), seen, kv_head)
                out[token, head], lse[head, token] = attend(q[token, head], keys, values, scale, softcap)
    return out, lse


def attend(q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float | None, softcap: float) -> Attended:
    """Return (o [D], lse []) of one query [D] over keys and values [N, D]; nothing to see gives 0 and -inf."""
    if not len(keys):
        return torch.zeros_like(q), q.new_tensor(float("-inf"))
    scores = keys @ q * (q.shape[0] ** -0.5 if scale is None else scale)
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    return torch.softmax(scores, 0) @ values, torch.logsumexp(scores, 0)


def _gather(k_cache: torch.Tensor, v_cache: torch.Tensor, table: list[int], seen: list[int], kv_head: int) -> Attended:
    """Return the keys and values of the positions `seen`, those on pages that do not exist left out."""
    page = k_cache.shape[1]
    places = [(table[at // page], at % page) for at in seen if at // page < len(table)]
    places = [(physical, slot) for physical, slot in places if 0 <= physical < k_cache.shape[0]]
    pages, slots = torch.tensor(places, dtype=torch.int64).reshape(-1, 2).unbind(1)
    return k_cache[pages, slots, kv_head], v_cache[pages, slots, kv_head]
