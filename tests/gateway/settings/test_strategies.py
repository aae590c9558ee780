from pathlib import Path

import pytest

from headrace.contracts.policy import (
    BudgetPacing,
    Canary,
    Epsilon,
    Experts,
    Latency,
    QualityAtCost,
    Shadow,
    Use,
    Weighted,
)
from headrace.gateway.settings.load import packaged
from headrace.gateway.settings.problems import Keys
from headrace.gateway.settings.strategies import parse_use
from tests.support.config import SAMPLE, load_text, problems_of


def told(value: object) -> list[tuple[Keys, str, str]]:
    found: list[tuple[Keys, str, str]] = []

    def report(path: Keys, what: str, cure: str, *, at_key: bool = False) -> None:
        assert isinstance(at_key, bool)
        found.append((path, what, cure))

    assert parse_use(value, ("use",), report) is None
    return found


def with_use(use: str) -> str:
    return SAMPLE.replace("- {id: default,   use: small}", f"- {{id: default,   use: {use}}}")


@pytest.mark.parametrize(
    ("text", "use"),
    [
        ("small", "small"),
        ("{strategy: weighted, tiers: {small: 0.9, large: 0.1}}", Weighted({"small": 0.9, "large": 0.1})),
        ("{strategy: weighted, tiers: {small: 1, large: 0}}", Weighted({"small": 1.0, "large": 0.0})),
        ("{strategy: canary, use: small, to: large, share: 0.05}", Canary("small", "large", 0.05)),
        ("{strategy: epsilon, use: small, epsilon: 0.05}", Epsilon("small", 0.05)),
        ("{strategy: quality_at_cost, lambda: 0.5}", QualityAtCost(0.5)),
        ("{strategy: latency, use: large, deadline_s: 2}", Latency("large", 2.0)),
        ("{strategy: latency, use: large, deadline_s: 2.5, measure: total}", Latency("large", 2.5, "total")),
        (
            "{strategy: budget, use: large, else: small, usd: 0.1, window_s: 86400}",
            BudgetPacing("large", "small", 100_000, 86_400.0),
        ),
        ("{strategy: experts, top_k: 2}", Experts(2)),
        (
            "{strategy: experts, top_k: 1, fuse: judge, judge: large, backends: [coder-1.5b], lambda: 1}",
            Experts(1, "judge", ("coder-1.5b",), "large", 1.0),
        ),
        ("{strategy: budget, use: large, else: small, usd_per_1k: 2}", BudgetPacing("large", "small", 2_000_000)),
    ],
)
def test_every_use_is_read(tmp_path: Path, text: str, use: Use) -> None:
    assert load_text(tmp_path, with_use(text)).policy.virtual_models["headrace/auto"].select[-1].use == use


@pytest.mark.parametrize(
    ("use", "path", "what", "cure"),
    [
        ("[small]", "", "a tier or a strategy", "write use: TIER"),
        ("5", "", "a tier or a strategy", "write use: TIER"),
        ("{tiers: {small: 1}}", "", "'strategy' is missing", "weighted, canary, epsilon, quality_at_cost"),
        ("{strategy: weigthed, tiers: {small: 1}}", ".strategy", "not a known strategy", "did you mean 'weighted'?"),
        ("{strategy: weighted, tier: {small: 1}}", ".tier", "unknown key", "did you mean 'tiers'?"),
        ("{strategy: weighted, tiers: {}}", ".tiers", "length is out of bounds", "at least 1"),
        ("{strategy: weighted, tiers: {small: 90, large: 10}}", ".tiers.small", "out of bounds", "at most 1"),
        ("{strategy: weighted, tiers: {small: 0.9, large: 0.2}}", ".tiers", "add up to 1.1", "add up to 1"),
        ("{strategy: weighted, tiers: {smal: 0.9, large: 0.1}}", ".tiers.smal", "unknown tier", "'small'"),
        ("{strategy: epsilon, use: small}", ".epsilon", "'epsilon' is missing", "write epsilon: ..."),
        ("{strategy: epsilon, use: small, epsilon: 0}", ".epsilon", "out of bounds", "over 0"),
        ("{strategy: epsilon, use: small, epsilon: '0.1'}", ".epsilon", "a number is wanted", "without quotes"),
        ("{strategy: epsilon, use: smal, epsilon: 0.1}", ".use", "unknown tier", "'small'"),
        ("{strategy: quality_at_cost, lamda: 0.5}", ".lamda", "unknown key", "did you mean 'lambda'?"),
        ("{strategy: quality_at_cost, lambda: -1}", ".lambda", "out of bounds", "at least 0"),
        ("{strategy: latency, use: lage, deadline_s: 2}", ".use", "unknown tier", "'large'"),
        ("{strategy: latency, use: large, deadline_s: 0}", ".deadline_s", "out of bounds", "over 0"),
        ("{strategy: latency, use: large, deadline: 2}", ".deadline", "unknown key", "'deadline_s'"),
        ("{strategy: latency, use: large, deadline_s: 2, measure: tft}", ".measure", "not a known word", "'ttft'"),
        ("{strategy: budget, use: large, else: small}", "", "cannot be used", "usd with window_s, or usd_per_1k"),
        ("{strategy: budget, use: large, else: small, usd: 1}", "", "cannot be used", "usd with window_s"),
        ("{strategy: budget, use: large, else: small, usd_per_1k: 1, window_s: 9}", "", "cannot be used", "either usd"),
        ("{strategy: budget, use: large, else: small, usd_per_1k: 0}", ".usd_per_1k", "nothing may be", "more than 0"),
        ("{strategy: budget, use: large, else: small, usd: -1, window_s: 9}", ".usd", "out of bounds", "at least 0"),
        ("{strategy: budget, use: small, else: large, usd_per_1k: 1}", ".else", "no cheaper", "stands before it"),
        ("{strategy: budget, use: large, usd_per_1k: 1}", ".else", "'else' is missing", "write else: ..."),
        ("{strategy: experts, top_k: 9}", ".top_k", "out of bounds", "at most 8"),
        ("{strategy: experts, top_k: 3}", ".top_k", "3 of 2 backends", "from 1 to 2"),
        ("{strategy: experts, top_k: 2, fuse: vot}", ".fuse", "not a known word", "'vote'"),
        (
            "{strategy: experts, top_k: 1, backends: [codr-1.5b]}",
            ".backends[0]",
            "unknown backend 'codr-1.5b'",
            "'coder-1.5b'",
        ),
        ("{strategy: experts, top_k: 2, fuse: judge, judge: lage}", ".judge", "unknown tier 'lage'", "'large'"),
        ("{strategy: experts, top_k: 2, judge: large}", ".judge", "a judge goes with", "both or neither"),
        ("{strategy: canary, use: small, to: small, share: 0.1}", ".to", "the tier of `use` too", "another tier"),
        ("{strategy: canary, use: small, to: large, share: 1}", ".share", "out of bounds", "under 1"),
    ],
)
def test_a_mistake_is_told_at_its_line_with_its_cure(tmp_path: Path, use: str, path: str, what: str, cure: str) -> None:
    text = with_use(use)
    line = text[: text.index("id: default,   use:")].count("\n") + 1
    found = problems_of(tmp_path, text)
    place = f"virtual_models.headrace/auto.select[4].use{path}"
    assert any(
        (each.path, each.place.line) == (place, line) and what in each.what and cure in each.cure for each in found
    ), [str(each) for each in found]


@pytest.mark.parametrize(
    ("shadow", "key", "what", "cure"),
    [
        ("{to: lage, share: 0.1}", ".to", "unknown tier 'lage'", "'large'"),
        ("{to: large, share: 0}", ".share", "out of bounds", "over 0"),
        ("{to: large, share: 2}", ".share", "out of bounds", "at most 1"),
        ("{to: large}", ".share", "'share' is missing", "write share: ..."),
        ("{to: large, share: 0.1, max_inflight: 2}", ".max_inflight", "unknown key", "'max_in_flight'"),
        ("{to: large, share: 0.1, max_in_flight: 0}", ".max_in_flight", "out of bounds", "at least 1"),
    ],
)
def test_a_mistake_in_a_shadow_is_told_at_its_line(tmp_path: Path, shadow: str, key: str, what: str, cure: str) -> None:
    text = SAMPLE.replace("    affinity:", f"    shadow: {shadow}\n    affinity:")
    line = text[: text.index("    shadow:")].count("\n") + 1
    (found,) = problems_of(tmp_path, text)
    assert (found.path, found.place.line) == (f"virtual_models.headrace/auto.shadow{key}", line)
    assert what in found.what
    assert cure in found.cure


def test_a_shadow_is_read(tmp_path: Path) -> None:
    text = SAMPLE.replace("    affinity:", "    shadow: {to: large, share: 0.05}\n    affinity:")
    assert load_text(tmp_path, text).policy.virtual_models["headrace/auto"].shadow == Shadow("large", 0.05, 4)


def test_all_numbers_of_a_strategy_are_told_together() -> None:
    found = told({"strategy": "canary", "use": "small", "to": 3, "share": 2})
    assert [path for path, _, _ in found] == [("use", "to"), ("use", "share")]


def test_a_strategy_that_is_no_word_is_refused() -> None:
    ((path, what, _),) = told({"strategy": ["weighted"]})
    assert (path, what) == (("use", "strategy"), "this is not a known strategy")


def test_a_value_from_the_environment_is_not_shown(tmp_path: Path) -> None:
    text = with_use('{strategy: epsilon, use: small, epsilon: "${CLOUD_KEY}"}')
    shown = "\n".join(str(each) for each in problems_of(tmp_path, text))
    assert "epsilon" in shown
    assert "cloud-secret-key-value" not in shown


def test_the_packaged_example_shows_every_strategy() -> None:
    text = packaged("strategies").read_text(encoding="utf-8")
    for word in ("weighted", "canary", "epsilon", "quality_at_cost", "latency", "budget", "experts"):
        assert f"strategy: {word}" in text
