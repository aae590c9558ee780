"""Computes every named signal a policy may ask for, once per request. Pure: no clock, no network, no model call."""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from headrace.contracts.chat import ChatCall, Message
from headrace.contracts.principal import Principal
from headrace.contracts.protocols import DifficultyModel
from headrace.contracts.routing import Features, Retrieved

# A turn this short leans on what was said before it: "yes, do it" is as hard as the plan it agrees to.
FOLLOW_UP_WORDS: Final = 8
CONTEXT_CHARS: Final = 1200
ASKERS: Final = frozenset({"user", "tool", "function"})

# Tokens a text may cost at most, as a rule: English runs at about 4 characters a token, code and numbers at 3.
CHARS_PER_TOKEN: Final = 3
# A non-ASCII character may become up to this many byte-level tokens.
TOKENS_PER_WIDE_CHAR: Final = 3
TOKENS_PER_MESSAGE: Final = 5
TOKENS_PER_CALL: Final = 3

LANGUAGE_CHARS: Final = 600
SCRIPT_SHARE: Final = 5  # one in so many characters tells the script

NOTHING: Final[Mapping[str, float]] = {}
NOT_SEARCHED: Final = Retrieved()


def extract(
    call: ChatCall,
    model: DifficultyModel,
    *,
    principal: Principal,
    headers: Mapping[str, str],
    quality: Callable[[str, str], Mapping[str, float]] | None = None,
    retrieved: Retrieved = NOT_SEARCHED,
) -> Features:
    """Return the features of one request; `headers` are those that rules may see, names in lower case.

    quality: predicts, from the judged text and its domain, how good each backend's answer is; None where no rule asks.
    retrieved: of the documents that were searched for it; what they say is never judged.
    """
    text = judged_text(call)
    difficulty = model.judge(text)
    return Features(
        difficulty=difficulty.value,
        domain=difficulty.domain,
        unfamiliar=difficulty.unfamiliar,
        prompt_tokens=estimate_tokens(call) + retrieved.tokens,
        turns=[message.role for message in call.messages].count("user"),
        tools=bool(call.tools),
        json=call.wants_json,
        language=guess_language(text),
        key=principal.key_id,
        tenant=principal.tenant,
        metadata=call.metadata,
        headers=headers,
        quality=quality(text, difficulty.domain) if quality is not None else NOTHING,
        retrieval_support=retrieved.support,
    )


def judged_text(call: ChatCall) -> str:
    """Return the text that difficulty is judged by: the last user turn, led by its context where it leans on it.

    A short turn in a running conversation gets the end of what was said before it (the last answer and the question
    that led to it), so that agreeing to a hard plan is not taken for small talk.
    """
    messages = call.messages
    last = max((index for index, message in enumerate(messages) if message.role == "user"), default=len(messages) - 1)
    if last < 0:
        return ""
    text = messages[last].text.strip()
    if len(text.split(None, FOLLOW_UP_WORDS)) > FOLLOW_UP_WORDS:
        return text
    context = _context(messages[:last])
    return f"{context}\n{text}" if context else text


def estimate_tokens(call: ChatCall) -> int:
    """Return how many tokens the prompt may take, rather too many than too few: one for every three characters.

    Characters outside ASCII count three tokens each, every message its template, tools and schemas their JSON.
    """
    total = TOKENS_PER_CALL
    for message in call.messages:
        total += TOKENS_PER_MESSAGE + text_tokens(message.text)
    if call.tools:
        total += len(msgspec.json.encode(call.tools)) // CHARS_PER_TOKEN
    if call.wants_json:
        total += len(msgspec.json.encode(call.response_format)) // CHARS_PER_TOKEN
    return total


def text_tokens(text: str) -> int:
    """Return how many tokens a text may take, by the same rule."""
    if text.isascii():
        return -(-len(text) // CHARS_PER_TOKEN)
    wide = len(text) - len(text.encode("ascii", "ignore"))
    return -(-(len(text) - wide) // CHARS_PER_TOKEN) + TOKENS_PER_WIDE_CHAR * wide


def guess_language(text: str) -> str:
    """Return a guess of the language as ISO 639-1, from script and frequent words; "und" when nothing tells."""
    seen = text[:LANGUAGE_CHARS]
    wide = "" if seen.isascii() else _bytes(seen).translate(None, _ASCII).decode("utf-8", "surrogatepass")
    enough = (len(seen) - seen.count(" ")) / SCRIPT_SHARE
    if wide and len(wide) >= enough:
        for language, script in _SCRIPTS.items():
            if len(script.findall(wide)) >= enough:
                return language
    votes = [0] * len(_LANGUAGES)
    for word in _VOTERS.intersection(_unmarked(seen.lower(), wide).split()):
        for index in _VOTES[word]:
            votes[index] += 1
    most = max(votes)
    return _LANGUAGES[votes.index(most)] if most else "und"


def _unmarked(lowered: str, wide: str) -> str:
    """Return the text with a blank for every mark; `wide` holds its characters beyond ASCII."""
    text = _bytes(lowered).translate(_BLANK_MARKS).decode("utf-8", "surrogatepass")
    for mark in _WIDE_MARKS.intersection(wide):
        text = text.replace(mark, " ")
    return text


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _context(earlier: tuple[Message, ...]) -> str:
    answer = next((message.text for message in reversed(earlier) if message.role == "assistant"), "")
    question = next((message.text for message in reversed(earlier) if message.role in ASKERS), "")
    parts = [part[-CONTEXT_CHARS:] for part in (question, answer) if part]
    return "\n".join(parts)


_ASCII: Final = bytes(range(128))
_BLANK_MARKS: Final = bytes(ord(" ") if byte in b"\"'.,;:!?()[]{}<>*_`" else byte for byte in range(256))
_WIDE_MARKS: Final = frozenset("¿¡«»“”„")
# Japanese stands before Chinese: its texts hold Chinese characters too.
_SCRIPTS: Final = {
    "ja": re.compile("[\u3040-\u30ff]"),
    "ko": re.compile("[\uac00-\ud7af]"),
    "zh": re.compile("[\u4e00-\u9fff]"),
    "ru": re.compile("[\u0400-\u04ff]"),
    "ar": re.compile("[\u0600-\u06ff]"),
    "he": re.compile("[\u0590-\u05ff]"),
    "hi": re.compile("[\u0900-\u097f]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
    "el": re.compile("[\u0370-\u03ff]"),
}
_FREQUENT_WORDS: Final = """
en the of and is what to in how who that write with for you are this it does hello thanks
de der die das und ist nicht ein eine wie was wer mit für auf ich sie warum danke
fr le la les des et est une que qui dans pour quelle quel comment vous je merci bonjour
es el los las y es una que cuál qué cómo por para quién del usted gracias hola
it il lo gli e è una che chi come per della quale perché sono grazie ciao
pt o os as e é uma que qual como para não você quem do da obrigado
nl de het een en is wat wie hoe niet van voor met waarom ik dank
"""
_FREQUENT: Final = [line.split() for line in _FREQUENT_WORDS.strip().splitlines()]
_LANGUAGES: Final = tuple(language for language, *_ in _FREQUENT)
_VOTERS: Final = frozenset(word for _, *words in _FREQUENT for word in words)
_VOTES: Final = {word: tuple(index for index, (_, *words) in enumerate(_FREQUENT) if word in words) for word in _VOTERS}
