"""Money before and after: reserve what a request may cost, settle what it did cost, refund what failed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from headrace.contracts.principal import Principal


class Reservation(Protocol):
    """Money set aside for one request; ends with exactly one of settle and refund."""

    async def settle(self, cost_microusd: int) -> None:
        """Charge what was spent and give back the rest."""
        ...

    async def refund(self) -> None:
        """Give everything back."""
        ...


class Budget(Protocol):
    """Knows what a principal may still spend. Safe to share between tasks."""

    async def reserve(self, principal: Principal, cost_microusd: int) -> Reservation:
        """Set money aside; RateLimited when it is not there."""
        ...


@dataclass(slots=True)
class Bill:
    """What a request has cost so far; the pipeline writes it, `reserved` settles it."""

    cost_microusd: int = 0


@asynccontextmanager
async def reserved(budget: Budget, principal: Principal, cost_microusd: int) -> AsyncIterator[Bill]:
    """Reserve around one request: settles what the bill says in the end, also after a failure that cost something.

    A request that cost nothing is refunded whole. Failed and cancelled attempts that used tokens are on the bill.
    """
    reservation = await budget.reserve(principal, cost_microusd)
    bill = Bill()
    try:
        yield bill
    finally:
        if bill.cost_microusd:
            await reservation.settle(bill.cost_microusd)
        else:
            await reservation.refund()


class Unlimited:
    """The budget of a gateway without limits: everything is granted, nothing is kept."""

    async def reserve(self, principal: Principal, cost_microusd: int) -> Reservation:
        """Grant it."""
        del principal, cost_microusd
        return _GRANTED


class _Granted:
    async def settle(self, cost_microusd: int) -> None:
        del cost_microusd

    async def refund(self) -> None:
        return


_GRANTED = _Granted()
