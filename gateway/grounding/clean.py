"""Retrieved text made harmless before a model sees it. Pure; whoever wrote a document is nobody's instructor.

What is taken out is structure: characters nobody sees, the marks that a chat template or a tool parser reads, links and
images, and look-alikes of our own fences and numbers. What a text says in plain words stays; the prompt says that it is
quoted (context.py).
"""

# ruff: noqa: RUF001  (look-alikes of ASCII marks are among what is taken out)

import re
from collections.abc import Collection
from typing import Final

MAX_ROUNDS: Final = 20  # taking one mark out may put another together; each round shortens the text
MAX_NAME_CHARS: Final = 120

_BREAKS: Final = re.compile("\r\n?|[\u0085\u2028\u2029\x0b\x0c]")
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
_HIDDEN: Final = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|template)\b[^<>]{0,500}>.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE
)
_ACTIVE: Final = re.compile(
    r"</?(?:a|audio|base|body|button|div|embed|font|form|frame|html|iframe|img|input|link|meta|object|p|picture|source"
    r"|span|svg|video)\b[^<>]{0,2000}>",
    re.IGNORECASE,
)
_TO: Final = r"(?:\([^()\n]{0,2000}(?:\([^()\n]{0,200}\)[^()\n]{0,200}){0,4}\)|\[[^\[\]\n]{0,200}\])"
_IMAGE: Final = re.compile(r"!\[([^\[\]\n]{0,500})\]" + _TO)
_LINK: Final = re.compile(r"\[([^\[\]\n]{0,500})\]" + _TO)
_OPEN: Final = re.compile(r"!(?=\[)|\](?=\()")
_DEFINITION: Final = re.compile(r"^[ \t]{0,3}\[[^\[\]\n]{1,200}\]:[ \t]*\S[^\n]{0,2000}$", re.MULTILINE)
_AUTOLINK: Final = re.compile(r"<((?:https?|ftp|data|javascript|mailto):[^<>\s]{0,2000})>", re.IGNORECASE)
_INLINE_DATA: Final = re.compile(r"\b(?:data|javascript):[^\s)\"'>]{1,5000}", re.IGNORECASE)

_PIPED: Final = re.compile("[<＜‹〈⟨《][ \t]?[|｜¦∣❘][^<>＜＞|｜¦∣❘\n]{0,60}[|｜¦∣❘][ \t]?[>＞›〉⟩》]")
_BRACKETED: Final = re.compile(
    r"\[/?[ \t]?(?:INST|SYS|SYSTEM|SYSTEM_PROMPT|USER|ASSISTANT|TOOL|TOOL_CALLS?|TOOL_RESULTS|AVAILABLE_TOOLS|IMG)"
    r"[ \t]?\]"
    r"|<</?[ \t]?SYS[ \t]?>>",
    re.IGNORECASE,
)
_TAGGED: Final = re.compile(
    r"</?[ \t]?(?:s|bos|eos|pad|unk|mask|start_of_turn|end_of_turn|system|user|assistant|human|developer|tool|tools"
    r"|tool_calls?|tool_code|tool_outputs?|tool_responses?|tool_results?|function|functions|function_calls?"
    r"|function_results?|invoke|parameters?|arguments|think|thinking|reasoning|reponame|repo_name|filename|file_sep"
    r"|gh_stars|jupyter_\w{1,30}|issue_\w{1,30}|instructions?|context|documents?|passages?|sources?|question|answer"
    r"|prompt|message|im_start|im_end|endoftext)\b[^<>\n]{0,200}>",
    re.IGNORECASE,
)
_ROLE_WORDS: Final = r"system|assistant|user|human|developer|tool|function|ai|bot|model|instructions?|response"
_ROLE: Final = re.compile(
    rf"^([ \t>*_#-]*)((?:{_ROLE_WORDS})(?:[ \t]+(?:prompt|message|override|role|turn|note|update|output|result)s?)?)"
    r"[ \t*_]*[:：]",
    re.IGNORECASE | re.MULTILINE,
)
_HEADED: Final = re.compile(rf"^[ \t]*#+[ \t]*({_ROLE_WORDS}|input)[ \t]*:?[ \t]*$", re.IGNORECASE | re.MULTILINE)
_NUMBER: Final = re.compile(r"[\[［【〔](\s*\d{1,4}(?:\s*[,;–-]\s*\d{1,4})*\s*)[\]］】〕]")
_FENCE: Final = re.compile(r"documents-[0-9a-f]{4,16}", re.IGNORECASE)
_EDGE: Final = re.compile(
    r"^[^\w\n]*(?:(?:this is|here is)?[ \t]*(?:the[ \t]+)?(?:end|begin|start)(?:ning|s|ing)?)(?:[ \t]+of)?"
    r"(?:[ \t]+(?:the|all|these))?"
    r"[ \t]+(?:documents?|passages?|context|sources?|data|quotes?|untrusted[ \t]+\w+|system[ \t]+prompt)[^\w\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
_BLANKS: Final = re.compile(r"[ \t]{9,}")
_EMPTY_LINES: Final = re.compile(r"[ \t]*\n(?:[ \t]*\n)+")


def visible(text: str) -> str:
    """Return the text without characters that show nothing or turn its direction; one kind of line break."""
    return _UNSEEN.sub("", _BREAKS.sub("\n", text))


def clean(text: str, markers: Collection[str] = ()) -> str:
    """Return what a model may be shown of a passage. markers: special tokens of the models that will read it."""
    text = visible(text)
    for _ in range(MAX_ROUNDS):
        before = text
        text = _unlinked(_HIDDEN.sub(" ", text))
        for marker in markers:
            text = text.replace(marker, " ")
        for pattern in (_PIPED, _BRACKETED, _TAGGED, _ACTIVE):
            text = pattern.sub(" ", text)
        if text == before:
            break
    text = _ROLE.sub(r"\1\2 -", _HEADED.sub(r"\1", text))
    text = _EDGE.sub("", _FENCE.sub("documents", _NUMBER.sub(r"(\1)", text)))
    return _EMPTY_LINES.sub("\n\n", _BLANKS.sub(" " * 8, text)).strip()


def clean_name(name: str, markers: Collection[str] = ()) -> str:
    """Return a file name or heading on one short line."""
    return " ".join(clean(name, markers).split())[:MAX_NAME_CHARS]


def _unlinked(text: str) -> str:
    """Leave of links and images their words: nothing is fetched from, and nobody is sent, where a document points."""
    text = _LINK.sub(r"\1", _IMAGE.sub(r"\1", text))
    text = _INLINE_DATA.sub("(data)", _DEFINITION.sub("", _AUTOLINK.sub(r"\1", text)))
    return _OPEN.sub(r"\g<0> ", text)  # what is left of one that was torn or nested too deep
