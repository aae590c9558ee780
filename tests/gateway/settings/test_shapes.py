from decimal import Decimal

import pytest
from pydantic import ValidationError

from headrace.gateway.settings.shapes import Edge, Name, Seconds, Url, Usd, microusd


class Sample(Edge):
    name: Name = "a"
    url: Url = "http://a"
    usd: Usd = Decimal(0)
    wait_s: Seconds = 1.0


def test_a_price_is_what_the_file_wrote_not_its_binary_neighbour() -> None:
    assert Sample.model_validate({"usd": 0.1}).usd == Decimal("0.1")


def test_micro_usd_are_whole_and_rounded_half_up() -> None:
    assert [microusd(Decimal(usd)) for usd in ("0.1", "0.0000005", "0.0000004")] == [100_000, 1, 0]


def test_a_url_loses_its_last_slash() -> None:
    assert Sample(url="https://a/v1/").url == "https://a/v1"


@pytest.mark.parametrize(
    "wrong", [{"name": "a b"}, {"url": "http://u@a"}, {"usd": -1}, {"wait_s": 0}, {"wait_s": "1"}, {"more": 1}]
)
def test_what_is_out_of_shape_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Sample.model_validate(wrong)
