"""A model of transformers whose attention goes through our kernels, layer by layer as told."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM, AutoTokenizer

from benchmarks.sparse.methods import BLOCK, Cache, Lists, Method, Pages, everything, kept_share, read_share
from headrace.kernels.int8_rounding import restore
from headrace.kernels.sparse_attention.decode import sparse_decode
from headrace.kernels.sparse_attention.prefill import sparse_prefill

NAME: Final = "headrace_lists"
SCALE: Final = "_scale"

Watch = Callable[[int, torch.Tensor, Cache], None]


@dataclass(slots=True)
class Setting:
    """What the attention of the next pass does. layers: those that follow the method, None for all; the rest is dense.

    decoded: int64 places of the queries that a way for decode serves, each as if it were the newest token; the rest is
    dense. watch: told layer, queries [T, H, D] and cache of every layer, before its attention.
    """

    method: Method | Pages = field(default_factory=everything)
    layers: frozenset[int] | None = None
    decoded: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    watch: Watch | None = None
    shares: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model under test, its tokenizer, and the setting that its attention reads."""

    name: str
    model: Any
    tokenizer: Any
    setting: Setting

    @torch.inference_mode()
    def scores(
        self,
        tokens: list[int],
        method: Method | Pages,
        layers: frozenset[int] | None = None,
        *,
        decoded: Sequence[int] = (),
    ) -> torch.Tensor:
        """Return the logits of one pass, float32 [T, V]; `setting.shares` then holds what each layer kept."""
        self.setting.method, self.setting.layers, self.setting.shares = method, layers, []
        self.setting.decoded = torch.tensor(decoded, dtype=torch.int64)
        logits: torch.Tensor = self.model(torch.tensor([tokens]), use_cache=False).logits[0]
        return logits.float()

    @property
    def kept(self) -> float:
        """The share of blocks that the last pass kept, over the layers that followed the method."""
        shares = self.setting.shares
        return sum(shares) / len(shares) if shares else 1.0


def load(folder: Path, name: str) -> Subject:
    """Load a model from the model store, in bfloat16; int8 weights are restored to what they stand for."""
    setting = Setting()
    _register(setting)
    config = AutoConfig.from_pretrained(folder)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config._attn_implementation = NAME  # noqa: SLF001  (how transformers is told)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    missing, unexpected = model.load_state_dict(_weights(folder), strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise ValueError(f"{folder.name}: weights {[*missing, *unexpected][:3]} do not fit the model of its config")
    model.tie_weights()
    return Subject(name, model.eval(), AutoTokenizer.from_pretrained(folder), setting)


@contextmanager
def watching(subject: Subject, watch: Watch) -> Iterator[None]:
    """Let `watch` see every layer's queries and keys meanwhile."""
    subject.setting.watch = watch
    try:
        yield
    finally:
        subject.setting.watch = None


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    held = load_file(folder / "model.safetensors")
    return {
        name: restore(value, held[name + SCALE].float(), torch.bfloat16) if value.dtype == torch.int8 else value
        for name, value in held.items()
        if not name.endswith(SCALE)
    }


def _register(setting: Setting) -> None:
    def attend(  # noqa: PLR0917  (the interface of transformers)
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float,
        **_: object,
    ) -> tuple[torch.Tensor, None]:
        """Attend for one sequence. query: [1, H, T, D]; key, value: [1, Hkv, T, D]; returns [1, T, H, D]."""
        del attention_mask  # causal by itself
        layer = int(module.layer_idx)  # type: ignore[arg-type]  # transformers sets it to a number
        q = query[0].transpose(0, 1).float()
        cache = _paged(key[0], value[0])
        if setting.watch is not None:
            setting.watch(layer, q, cache)
        follows = setting.layers is None or layer in setting.layers
        method = setting.method if follows else everything()
        if isinstance(method, Pages):
            out, kept = _decoded(q, cache, method, setting.decoded, scaling)
        else:
            lists = method.choose(q, cache)
            out, kept = _prefilled(q, cache, lists, scaling), kept_share(lists, cache)
        if follows:
            setting.shares.append(kept)
        return out[None].to(query.dtype), None

    AttentionInterface.register(NAME, attend)


def _prefilled(q: torch.Tensor, cache: Cache, lists: Lists, scale: float) -> torch.Tensor:
    out, _lse = sparse_prefill(
        q,
        cache.keys,
        cache.values,
        cache.table,
        cache.bounds,
        cache.lengths,
        *lists,
        scale=scale,
        block_q=BLOCK,
        block_kv=BLOCK,
        max_seqlen_q=cache.length,
    )
    return out


def _decoded(
    q: torch.Tensor, cache: Cache, method: Pages, places: torch.Tensor, scale: float
) -> tuple[torch.Tensor, float]:
    """Return the prompt's attention but at `places`, which read the pages chosen for each, and the share these kept."""
    out = _dense(q, cache, scale) if method.prompt is None else _prefilled(q, cache, method.prompt(q, cache), scale)
    lengths = (places + 1).int()
    lists = method.read(q[places], cache, lengths)
    out[places], _lse = sparse_decode(q[places], cache.keys, cache.values, *lists, scale=scale)
    return out, read_share(lists, lengths)


def _dense(q: torch.Tensor, cache: Cache, scale: float) -> torch.Tensor:
    keys, values = (one.flatten(0, 1)[: cache.length].transpose(0, 1) for one in (cache.keys, cache.values))
    out = torch.nn.functional.scaled_dot_product_attention(
        q.transpose(0, 1)[None], keys[None], values[None], is_causal=True, scale=scale, enable_gqa=True
    )
    return out[0].transpose(0, 1)


def _paged(key: torch.Tensor, value: torch.Tensor) -> Cache:
    """Lay keys and values [Hkv, T, D] out in pages; the last page is filled up with zeros that nothing reads."""
    length = key.shape[1]
    pages = -(-length // BLOCK)

    def laid(one: torch.Tensor) -> torch.Tensor:
        padded = one.new_zeros((pages * BLOCK, one.shape[0], one.shape[2]), dtype=torch.float32)
        padded[:length] = one.transpose(0, 1)
        return padded.view(pages, BLOCK, *padded.shape[1:])

    return Cache(laid(key), laid(value), length)
