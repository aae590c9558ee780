"""Does a decision survive how a question is typed? Share of decisions that stay when the same question is disturbed.

`make bench NAME=router_robustness`, about a minute. Questions of the open test splits, evenly over the sources.
`rules`: the tier that the default policy's rules choose. `gain`: whether the quality model's gain (the default small
to the default large tier) is over its median. A wrapped or padded question keeps its meaning, so its decision should
stay; a pasted document truly changes what is asked, and is shown for what it is.
"""

import csv
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.overhead import host
from headrace.contracts.chat import ChatCall, Message
from headrace.contracts.principal import ANONYMOUS
from headrace.gateway.settings.load import load as load_settings
from headrace.gateway.settings.load import packaged
from headrace.router.difficulty.model import load as load_difficulty
from headrace.router.features import extract
from headrace.router.policies.planner import make_plan
from headrace.router.quality.backends import BackendQuality
from headrace.router.quality.model import load as load_quality
from headrace.router.training.corpus import data_dir, read_lines
from headrace.router.training.roles import ROLES

RESULT: Final = Path(__file__).parent / "results" / "router_robustness.csv"
A_SOURCE: Final = 150
TYPO_SHARE: Final = 0.08
DOCUMENT_CHARS: Final = 3000
SEED: Final = 20261122
DOCUMENT: Final = (
    "Minutes of the meeting. The committee read the report of the harbour office and thanked its authors. The repair "
    "of the eastern quay goes on until spring; boats lie at the western quay until then. Members asked for a list of "
    "costs, which the treasurer will send. The next meeting takes place after the holidays, in the large hall. "
)

Disturb = Callable[[str, random.Random], str]


def typos(text: str, rng: random.Random) -> str:
    """Swap two inner letters of some words."""
    words = text.split(" ")
    for place, word in enumerate(words):
        if len(word) > 3 and word.isalpha() and rng.random() < TYPO_SHARE:  # noqa: PLR2004  (an inner pair needs four)
            at = rng.randrange(1, len(word) - 2)
            words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


DISTURBANCES: Final[Mapping[str, Disturb]] = {
    "typos in 8% of words": typos,
    "lower case": lambda text, _: text.lower(),
    "upper case": lambda text, _: text.upper(),
    "wrapped: Please answer": lambda text, _: f"Please answer the following. {text}",
    "wrapped: polite": lambda text, _: f"Hi! I would like to know this: {text} Thank you very much.",
    "wrapped in German": lambda text, _: f"Bitte beantworte diese Frage: {text} Vielen Dank!",
    "padded with blanks": lambda text, _: f"\n\n   {text}   \n\n",
    "long document first": lambda text, _: f"{(DOCUMENT * 12)[:DOCUMENT_CHARS]}\n\n{text}",
}


def questions() -> list[str]:
    """Return test-split questions, equally many of every source."""
    rng = random.Random(SEED)  # noqa: S311  (a draw of questions, no secret)
    found: list[str] = []
    for source in sorted(ROLES):
        rows = read_lines(data_dir() / "routing" / source / "questions.jsonl.gz")
        texts = [row["question"] for row in rows if row["split"] == "test"]
        found += rng.sample(texts, min(A_SOURCE, len(texts)))
    return found


def main() -> None:
    """Measure every disturbance and write the result file."""
    policy, difficulty = load_settings(packaged("default")).policy, load_difficulty()
    quality = BackendQuality(load_quality(), policy.cards)
    small, large = policy.tiers[0].default, policy.tiers[-1].default

    def tier(text: str) -> str:
        call = ChatCall(model="headrace/auto", endpoint="chat", messages=(Message("user", text),), wire={})
        features = extract(call, difficulty, principal=ANONYMOUS, headers={})
        plan = make_plan(policy, call, features, is_live=lambda _: True, is_calibrated=lambda *_: True)
        return plan.targets[0].tier

    def gain(text: str) -> float:
        predicted = quality(text)
        return predicted[large] - predicted[small] if predicted else 1.0  # unlike everything: the safe side

    texts = questions()
    tiers, gains = [tier(text) for text in texts], [gain(text) for text in texts]
    middle = sorted(gains)[len(gains) // 2]
    stamp = {"date": host.now(), "commit": host.commit(), "device": host.device(), "versions": host.versions("numpy")}
    with RESULT.open("w", encoding="utf-8", newline="") as sink:
        table = csv.writer(sink, lineterminator="\n")
        table.writerow([*stamp, "disturbance", "questions", "rules_stay_percent", "gain_stays_percent"])
        for name, disturb in DISTURBANCES.items():
            rng = random.Random(SEED)  # noqa: S311  (the same typos every time)
            other = [disturb(text, rng) for text in texts]
            rules = sum(tier(new) == old for new, old in zip(other, tiers, strict=True)) / len(texts)
            sides = sum((gain(new) > middle) == (old > middle) for new, old in zip(other, gains, strict=True)) / len(
                texts
            )
            table.writerow([*stamp.values(), name, len(texts), f"{100 * rules:.1f}", f"{100 * sides:.1f}"])
            sys.stdout.write(f"{name}: rules {100 * rules:.1f}%, gain {100 * sides:.1f}%\n")


if __name__ == "__main__":
    main()
