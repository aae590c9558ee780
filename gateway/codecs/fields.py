"""Request fields that chat and completions share: types with their bounds. No field of a request is unbounded."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Annotated, Any, Final, TypeGuard

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from headrace.contracts.errors import InvalidRequest

MAX_N: Final = 8
MAX_TOKENS: Final = 1_048_576
MAX_STOPS: Final = 4
MAX_METADATA: Final = 16

Penalty = Annotated[float, Meta(ge=-2.0, le=2.0)]
Temperature = Annotated[float, Meta(ge=0.0, le=2.0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Tokens = Annotated[int, Meta(ge=1, le=MAX_TOKENS)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Word = Annotated[str, Meta(min_length=1, max_length=512)]
StopText = Annotated[str, Meta(min_length=1, max_length=1_000)]
Stops = Annotated[list[StopText], Meta(max_length=MAX_STOPS)]
Stop = Annotated[str, Meta(max_length=1_000)] | Stops
Bias = Annotated[
    dict[Annotated[str, Meta(pattern=r"^[0-9]{1,7}$")], Annotated[float, Meta(ge=-100, le=100)]], Meta(max_length=300)
]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=MAX_METADATA)
]
Unread = Raw | UnsetType  # the bytes as they came; null counts as absent


class Fields:
    """Some fields of a request, read all at once."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self._values = attrgetter(*names)

    def of(self, request: object) -> dict[str, Any]:
        """Return those that the client sent; null counts as absent but where the field is unread."""
        named = zip(self._names, self._values(request), strict=True)
        return {name: value for name, value in named if value is not None and value is not UNSET}


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """What a client wants of its stream. Obfuscation is never added, so its switch changes nothing."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    continuous_usage_stats: bool | None = None


class Sampling(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields every generating endpoint has; those of `FORWARDED` go upstream as they came.

    The block marked "engine" is read by engines only and is dropped: a template or a cache salt of the caller's
    has brought engines down, and grammars of the caller's choice run without a time limit.
    """

    model: Word
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_N)] | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    max_tokens: Tokens | None = None
    stop: Stop | None = None
    seed: Seed | None = None
    logit_bias: Bias | None = None
    user: Annotated[str, Meta(max_length=512)] | None = None
    # sampling that common engines add
    top_k: Annotated[int, Meta(ge=-1, le=1_000_000)] | None = None
    min_p: Share | None = None
    repetition_penalty: Annotated[float, Meta(gt=0.0, le=10.0)] | None = None
    length_penalty: Annotated[float, Meta(ge=-10.0, le=10.0)] | None = None
    min_tokens: Annotated[int, Meta(ge=0, le=MAX_TOKENS)] | None = None
    ignore_eos: bool | None = None
    stop_token_ids: Annotated[list[Annotated[int, Meta(ge=0, le=10_000_000)]], Meta(max_length=64)] | None = None
    include_stop_str_in_output: bool | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    # engine
    chat_template: Unread = UNSET
    chat_template_kwargs: Unread = UNSET
    add_generation_prompt: Unread = UNSET
    continue_final_message: Unread = UNSET
    add_special_tokens: Unread = UNSET
    documents: Unread = UNSET
    cache_salt: Unread = UNSET
    structured_outputs: Unread = UNSET
    guided_json: Unread = UNSET
    guided_regex: Unread = UNSET
    guided_choice: Unread = UNSET
    guided_grammar: Unread = UNSET
    guided_decoding_backend: Unread = UNSET
    guided_whitespace_pattern: Unread = UNSET
    structural_tag: Unread = UNSET
    mm_processor_kwargs: Unread = UNSET
    media_io_kwargs: Unread = UNSET
    kv_transfer_params: Unread = UNSET
    vllm_xargs: Unread = UNSET
    request_id: Unread = UNSET
    priority: Unread = UNSET
    return_token_ids: Unread = UNSET
    return_tokens_as_token_ids: Unread = UNSET
    prompt_logprobs: Unread = UNSET
    truncate_prompt_tokens: Unread = UNSET
    use_beam_search: Unread = UNSET
    bad_words: Unread = UNSET
    allowed_token_ids: Unread = UNSET
    logits_processors: Unread = UNSET
    include_reasoning: Unread = UNSET


FORWARDED: Final = (
    "n", "temperature", "top_p", "frequency_penalty", "presence_penalty", "max_tokens", "stop", "seed", "logit_bias",
    "top_k", "min_p", "repetition_penalty", "length_penalty", "min_tokens", "ignore_eos", "stop_token_ids",
    "include_stop_str_in_output", "skip_special_tokens", "spaces_between_special_tokens",
)  # fmt: skip


def includes_usage(request: Sampling) -> bool:
    """Tell whether the stream must end with a usage chunk; `stream_options` without a stream is refused."""
    options = request.stream_options
    if options is None:
        return False
    if not request.stream:
        raise InvalidRequest("'stream_options' is only allowed when 'stream' is true", param="stream_options")
    return bool(options.include_usage)


def refuse_set(request: object, fields: Fields, reasons: Mapping[str, str]) -> None:
    """Raise for the first of the fields that the client set: no tier can do it, for the reason given."""
    for name, value in fields.of(request).items():
        if is_set(value):
            raise InvalidRequest(
                f"'{name}' is not supported here: {reasons[name]}", param=name, code="unsupported_parameter"
            )


def is_set(value: Unread) -> TypeGuard[Raw]:
    """Tell whether the client sent the field with anything but null."""
    return isinstance(value, Raw) and bytes(value) != b"null"
