"""Money before and after: reserve what a request may cost, settle what it did cost, refund what failed."""

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


async def close(reservation: Reservation, cost_microusd: int) -> None:
    """End a reservation: settle what the request cost, also where it failed after tokens were used, else refund it."""
    if cost_microusd:
        await reservation.settle(cost_microusd)
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
