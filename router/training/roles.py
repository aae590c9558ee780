"""Which recorded models stand for the small and the large tier in each public source, and which domain a subject is."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Roles:
    """The models of one source that play the two tiers; several on a side are averaged, which steadies the label.

    large_from: another source that holds the large models' answers to the same questions (joined by group).
    """

    small: tuple[str, ...]
    large: tuple[str, ...]
    large_from: str = ""


ROUTELLM: Final = Roles(("mistralai/Mixtral-8x7B-Instruct-v0.1",), ("gpt-4-1106-preview",))

STRONG: Final = ("claude-3-5-sonnet-20241022", "gpt-4o-2024-08-06", "Llama-3.1-405B-Instruct-Turbo")

# The smallest models recorded against the best: the default small tier is smaller still.
ROLES: Final = {
    "routellm_gsm8k": ROUTELLM,
    "routellm_mmlu": ROUTELLM,
    "gsm8k_example_solutions": Roles(("gpt3_6b_finetuning",), STRONG, large_from="zeroeval_gsm"),
    "zeroeval_gsm": Roles(("gemma-2-2b-it",), STRONG),
    "zeroeval_crux": Roles(
        ("gemma-2-2b-it", "Qwen2.5-3B-Instruct"), ("claude-3-5-sonnet-20241022", "gpt-4o-2024-08-06")
    ),
    "llmrouter_ulab": Roles(
        ("codegemma-7b", "mistral-7b-instruct-v0.3"),
        ("llama-3.1-nemotron-51b-instruct", "llama-3.3-nemotron-super-49b-v1"),
    ),
    "bfcl_2024_08": Roles(
        ("google_gemma-7b-it", "mistral-tiny-2312"), ("claude-3-5-sonnet-20240620", "gpt-4-1106-preview-FC")
    ),
}

DOMAINS: Final = ("chat", "code", "knowledge", "language", "maths", "reasoning", "tools")

_BY_SOURCE: Final = {
    "routellm_gsm8k": "maths",
    "gsm8k_example_solutions": "maths",
    "zeroeval_gsm": "maths",
    "zeroeval_crux": "code",
    "bfcl_2024_08": "tools",
    "routellm_mmlu": "knowledge",
}
_BY_SUBJECT: Final = {
    "abstract_algebra": "maths",
    "college_mathematics": "maths",
    "elementary_mathematics": "maths",
    "high_school_mathematics": "maths",
    "high_school_statistics": "maths",
    "formal_logic": "reasoning",
    "logical_fallacies": "reasoning",
    "agentverse-mgsm": "maths",
    "gsm8k": "maths",
    "math": "maths",
    "mbpp": "code",
    "human_eval": "code",
    "coding": "code",
    "commongen": "language",
    "extraction": "language",
    "yes_no": "language",
    "language": "language",
    "agentverse-logicgrid": "reasoning",
    "commonsense_qa": "knowledge",
    "arc_challenge": "knowledge",
    "openbook_qa": "knowledge",
    "reasoning": "reasoning",
    "trivia_qa": "knowledge",
    "natural_qa": "knowledge",
    "mmlu": "knowledge",
    "stem": "knowledge",
    "humanities": "knowledge",
    "fact": "knowledge",
    "fact_symbol": "knowledge",
    "arithmetic": "maths",
    "roleplay": "chat",
    "writing": "chat",
}


def domain_of(source: str, subject: str) -> str:
    """Return the domain of a question; the subject knows better than the source."""
    return _BY_SUBJECT.get(subject) or _BY_SOURCE.get(source) or "knowledge"
