import asyncio

from headrace.models.backends.watchdog import Watchdog


async def bites_after(**bounds: float) -> Watchdog:
    loop = asyncio.get_running_loop()
    bitten = asyncio.Event()
    now = loop.time()
    dog = Watchdog(bitten.set, deadline=now + bounds["deadline"], since=now, first_byte_s=bounds["first"])
    if "between" in bounds:
        dog.rest(bounds["between"])
        dog.wait()
    await asyncio.wait_for(bitten.wait(), 5)
    return dog


async def test_a_late_first_byte_is_named() -> None:
    assert (await bites_after(deadline=9.0, first=0.01)).expiry == "first_byte"


async def test_a_late_next_byte_is_named() -> None:
    assert (await bites_after(deadline=9.0, first=0.02, between=0.01)).expiry == "between"


async def test_the_deadline_is_named() -> None:
    assert (await bites_after(deadline=0.01, first=9.0)).expiry == "deadline"


async def test_time_the_consumer_takes_does_not_count() -> None:
    loop = asyncio.get_running_loop()
    bites: list[float] = []
    dog = Watchdog(lambda: bites.append(loop.time()), deadline=loop.time() + 9, since=loop.time(), first_byte_s=0.01)
    dog.rest(0.01)
    await asyncio.sleep(0.05)
    assert not bites
    dog.wait()
    await asyncio.sleep(0.05)
    assert len(bites) == 1
    dog.stop()
