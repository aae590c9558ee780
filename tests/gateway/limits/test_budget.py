import asyncio
from dataclasses import dataclass, field

from headrace.contracts.errors import RateLimited
from headrace.contracts.principal import ANONYMOUS, Principal
from headrace.gateway.limits.budget import Reservation, Unlimited, close


@dataclass
class Purse:
    """A budget with an end, and what was done to it."""

    left: int
    told: list[str] = field(default_factory=list)

    async def reserve(self, principal: Principal, cost_microusd: int) -> Reservation:
        assert principal is ANONYMOUS
        if cost_microusd > self.left:
            msg = "nothing left"
            raise RateLimited(msg, code="insufficient_quota")
        self.left -= cost_microusd
        return Held(self, cost_microusd)


@dataclass
class Held:
    purse: Purse
    amount: int

    async def settle(self, cost_microusd: int) -> None:
        self.purse.left += self.amount - cost_microusd
        self.purse.told.append("settled")

    async def refund(self) -> None:
        self.purse.left += self.amount
        self.purse.told.append("refunded")


async def test_what_was_spent_is_settled_and_the_rest_given_back() -> None:
    purse = Purse(100)
    reservation = await purse.reserve(ANONYMOUS, 60)
    assert purse.left == 40
    await close(reservation, 25)
    assert (purse.left, purse.told) == (75, ["settled"])


async def test_a_request_that_cost_nothing_is_refunded() -> None:
    purse = Purse(100)
    await close(await purse.reserve(ANONYMOUS, 60), 0)
    assert (purse.left, purse.told) == (100, ["refunded"])


async def test_of_a_hundred_at_once_against_a_budget_for_one_one_passes() -> None:
    purse, passed = Purse(60), list[int]()

    async def ask(number: int) -> None:
        reservation = await purse.reserve(ANONYMOUS, 60)
        await asyncio.sleep(0)
        passed.append(number)
        await close(reservation, 60)

    results = await asyncio.gather(*(ask(number) for number in range(100)), return_exceptions=True)
    assert len(passed) == 1
    assert sum(isinstance(result, RateLimited) for result in results) == 99


async def test_without_limits_everything_is_granted() -> None:
    await close(await Unlimited().reserve(ANONYMOUS, 10**12), 5)
    await close(await Unlimited().reserve(ANONYMOUS, 10**12), 0)
