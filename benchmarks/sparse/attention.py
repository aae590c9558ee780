"""A model of transformers whose attention goes through our kernels, layer by layer as told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM, AutoTokenizer

from benchmarks.sparse.methods import BLOCK, Cache, Method, everything, kept_share
from headrace.kernels.int8_rounding import restore
from headrace.kernels.sparse_attention.prefill import sparse_prefill

NAME: Final = "headrace_lists"
SCALE: Final = "_scale"

Watch = Callable[[int, torch.Tensor, Cache], None]


@dataclass(slots=True)
class Setting:
    """What the attention of the next pass does. layers: those that follow the method, None for all; the rest is dense.

    watch: told layer, queries [T, H, D] and cache of every layer, before its attention.
    """

    method: Method = field(default_factory=everything)
    layers: frozenset[int] | None = None
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
    def scores(self, tokens: list[int], method: Method, layers: frozenset[int] | None = None) -> torch.Tensor:
        """Return the logits of one pass, float32 [T, V]; `setting.shares` then holds what each layer kept."""
        self.setting.method, self.setting.layers, self.setting.shares = method, layers, []
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
        lists = (setting.method if follows else everything()).choose(q, cache)
        if follows:
            setting.shares.append(kept_share(lists, cache))
        out, _lse = sparse_prefill(
            q,
            cache.keys,
            cache.values,
            cache.table,
            cache.bounds,
            cache.lengths,
            *lists,
            scale=scaling,
            block_q=BLOCK,
            block_kv=BLOCK,
            max_seqlen_q=cache.length,
        )
        return out[None].to(query.dtype), None

    AttentionInterface.register(NAME, attend)


def _paged(key: torch.Tensor, value: torch.Tensor) -> Cache:
    """Lay keys and values [Hkv, T, D] out in pages; the last page is filled up with zeros that nothing reads."""
    length = key.shape[1]
    pages = -(-length // BLOCK)

    def laid(one: torch.Tensor) -> torch.Tensor:
        padded = one.new_zeros((pages * BLOCK, one.shape[0], one.shape[2]), dtype=torch.float32)
        padded[:length] = one.transpose(0, 1)
        return padded.view(pages, BLOCK, *padded.shape[1:])

    return Cache(laid(key), laid(value), length)
