from dataclasses import replace

import pytest

from headrace.contracts.errors import ConfigError
from headrace.router.replay.bars import breach, parse
from headrace.router.replay.report import Figure, Metric, Report, Worth


def report(metric: Metric = "cost", change: float | None = 0.08, unsupported: float = 0.0) -> Report:
    figure = None if change is None else Figure(change, change - 0.01, change + 0.01)
    worth = Worth("unit", 10, 1.0, {}, figure, unsupported)
    return Report(10, 0.25, 0, (), None, {metric: worth}, ())


@pytest.mark.parametrize(
    ("text", "is_broken"),
    [
        ("cost>+5%", True),
        ("cost > 5 %", True),
        ("cost>8.5%", False),
        ("cost<-2%", False),
        ("cost<10%", True),
        ("changed>20%", True),
        ("changed>30%", False),
    ],
)
def test_a_bar_breaks_where_the_estimate_is_beyond_it(text: str, *, is_broken: bool) -> None:
    assert bool(breach(parse(text), report())) is is_broken


def test_a_breach_tells_bar_estimate_and_interval() -> None:
    assert breach(parse("cost>+5%"), report()) == "cost>+5%: +8.0% (+7.0% to +9.0%) for cost"
    assert breach(parse("changed>20%"), report()) == "changed>20%: +25.0% of the decisions change"


def test_a_breach_tells_what_only_the_model_says() -> None:
    assert "30.0% of it by the reward model alone" in breach(parse("cost>+5%"), report(unsupported=0.3))


def test_a_fall_of_quality_breaks_its_bar() -> None:
    assert breach(parse("quality<-2%"), report("quality", -0.03))
    assert not breach(parse("quality<-2%"), report("quality", -0.01))


@pytest.mark.parametrize("text", ["", "cost", "cost>5", "price>5%", "cost>=5%", "cost>five%", "cost>5%%", "cost>nan%"])
def test_what_is_no_bar_is_refused_with_the_cure(text: str) -> None:
    with pytest.raises(ConfigError, match="write metric, > or <"):
        parse(text)


def test_a_metric_the_log_does_not_tell_is_an_error_and_no_pass() -> None:
    with pytest.raises(ConfigError, match="--outcomes"):
        breach(parse("quality<-2%"), report())
    with pytest.raises(ConfigError, match="over 0"):
        breach(parse("cost>5%"), report(change=None))
    with pytest.raises(ConfigError, match="over 0"):
        breach(parse("cost>5%"), replace(report(), worth={}))
