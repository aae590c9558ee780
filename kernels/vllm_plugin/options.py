"""What the operator switched on, read from the environment of the engine: the only way into a plug-in without a fork.

`HEADRACE_ATTENTION=sparse` and `HEADRACE_MOE=headrace` switch on; `HEADRACE_ATTENTION_OPTIONS` and
`HEADRACE_MOE_OPTIONS` are JSON objects. The gateway writes them from a backend's `attention`, `moe` and
`quantization`. Reads nothing but the mapping it is given.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args

from typing_extensions import TypeIs

ATTENTION_VARIABLE: Final = "HEADRACE_ATTENTION"
ATTENTION_OPTIONS_VARIABLE: Final = "HEADRACE_ATTENTION_OPTIONS"
MOE_VARIABLE: Final = "HEADRACE_MOE"
MOE_OPTIONS_VARIABLE: Final = "HEADRACE_MOE_OPTIONS"
SPARSE: Final = "sparse"
HEADRACE: Final = "headrace"
GROUPS: Final = (32, 64, 128, 256)

Method = Literal["mean", "minmax"]


@dataclass(frozen=True, slots=True)
class SparseOptions:
    """How much of the past an answer looks at. All but the last two are in tokens.

    budget: kept for each query, sink and local included. sink: first tokens, always kept. local: last tokens, always
    kept. min_tokens: shorter sequences stay with vLLM's attention. min_query: shorter prompt parts do too. method: what
    a page is known by, its mean key or the bounds of its keys. dense_layers: layers that stay with vLLM's, by number
    from 0, or how many first ones.
    """

    budget: int = 4096
    sink: int = 128
    local: int = 1024
    min_tokens: int = 8192
    min_query: int = 64
    method: Method = "minmax"
    dense_layers: int | tuple[int, ...] = 2

    def is_dense(self, layer: int) -> bool:
        """Tell whether a layer, counted from 0, stays with vLLM's attention."""
        if isinstance(self.dense_layers, int):
            return layer < self.dense_layers
        return layer in self.dense_layers


@dataclass(frozen=True, slots=True)
class MoeOptions:
    """How experts are kept. group: input channels that share a scale, where they are quantized."""

    group: int = 128


@dataclass(frozen=True, slots=True)
class Options:
    """What is switched on; None is off."""

    attention: SparseOptions | None = None
    moe: MoeOptions | None = None

    @property
    def is_empty(self) -> bool:
        """True when nothing is switched on."""
        return self.attention is None and self.moe is None


def read_options(environ: Mapping[str, str]) -> Options:
    """Return what is switched on. Raises ValueError naming the variable, the value and the cure."""
    return Options(read_attention(environ), read_moe(environ))


def read_attention(environ: Mapping[str, str]) -> SparseOptions | None:
    """Return the options of sparse attention, None where it is off."""
    if not _is_on(environ, ATTENTION_VARIABLE, SPARSE):
        return None
    said = _object(environ, ATTENTION_OPTIONS_VARIABLE, SparseOptions)
    if "dense_layers" in said:
        said["dense_layers"] = _layers(said["dense_layers"])
    options = SparseOptions(**said)
    if options.method not in get_args(Method):
        raise ValueError(_bad(ATTENTION_OPTIONS_VARIABLE, "method", options.method, " or ".join(get_args(Method))))
    if options.sink + options.local > options.budget:
        what = f"sink + local = {options.sink + options.local} tokens are more than the budget of {options.budget}"
        raise ValueError(f"{ATTENTION_OPTIONS_VARIABLE}: {what}; raise budget or lower them")
    return options


def read_moe(environ: Mapping[str, str]) -> MoeOptions | None:
    """Return the options of the experts, None where they are left to vLLM."""
    if not _is_on(environ, MOE_VARIABLE, HEADRACE):
        return None
    options = MoeOptions(**_object(environ, MOE_OPTIONS_VARIABLE, MoeOptions))
    if options.group not in GROUPS:
        raise ValueError(_bad(MOE_OPTIONS_VARIABLE, "group", options.group, f"one of {', '.join(map(str, GROUPS))}"))
    return options


def _layers(said: object) -> int | tuple[int, ...]:
    if _is_count(said):
        return said
    if isinstance(said, list) and all(map(_is_count, said)):
        return tuple(said)
    wanted = "how many first layers, or a list of layers, counted from 0"
    raise ValueError(_bad(ATTENTION_OPTIONS_VARIABLE, "dense_layers", said, wanted))


def _is_count(value: object) -> TypeIs[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_on(environ: Mapping[str, str], variable: str, word: str) -> bool:
    value = environ.get(variable, "")
    if value not in {"", "dense", "vllm", word}:
        raise ValueError(f"{variable}={value!r}: write {word}, or leave it unset")
    return value == word


def _object(environ: Mapping[str, str], variable: str, kind: type) -> dict[str, Any]:
    text = environ.get(variable) or "{}"
    try:
        found = json.loads(text)
    except json.JSONDecodeError as exc:
        raise ValueError(f"{variable}={text!r} is no JSON: {exc.msg}; write an object such as {{}}") from exc
    known = {each.name: each.type for each in fields(kind)}
    if not isinstance(found, dict):
        raise ValueError(f"{variable}={text!r}: write a JSON object")  # noqa: TRY004  (a bad value, not a bad call)
    for name, value in found.items():
        if name not in known:
            raise ValueError(f"{variable}: no option {name!r}; known here: {', '.join(known)}")
        if known[name] is int and not _is_count(value):
            raise ValueError(_bad(variable, name, value, "a whole number, 0 or more"))
    return found


def _bad(variable: str, name: str, value: object, wanted: str) -> str:
    return f"{variable}: {name}={value!r}; write {wanted}"
