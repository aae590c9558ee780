import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import DeadlineExceeded, Overloaded
from headrace.contracts.policy import Tier
from headrace.gateway.limits.admission import FIRST_GUESS_S, MAX_RETRY_S, TierAdmission

FAR = 3600.0


def admission(concurrency: int = 1, queue: int = 2) -> TierAdmission:
    return TierAdmission([Tier("small", "b", concurrency=concurrency, queue=queue)], asyncio.get_running_loop().time)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def far() -> float:
    return asyncio.get_running_loop().time() + FAR


async def test_places_are_given_first_come_first_served() -> None:
    bounds, order = admission(queue=10), list[int]()

    async def work(number: int) -> None:
        async with bounds.slot("small", deadline=far()):
            order.append(number)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(work(number))
    assert order == list(range(8))
    assert (bounds.running("small"), bounds.queued("small")) == (0, 0)


async def test_a_full_queue_is_an_overload_with_a_time_to_come_back() -> None:
    bounds = admission(queue=1)
    async with bounds.slot("small", deadline=far()), asyncio.TaskGroup() as tasks:
        waiter = tasks.create_task(enter(bounds))
        await settle()
        with pytest.raises(Overloaded) as caught:
            await enter(bounds)
        assert caught.value.retry_after_s is not None
        assert 0 < caught.value.retry_after_s <= MAX_RETRY_S
        assert caught.value.status == 503
        waiter.cancel()


async def enter(bounds: TierAdmission) -> None:
    async with bounds.slot("small", deadline=far()):
        pass


async def test_nobody_waits_past_the_deadline() -> None:
    bounds = admission()
    async with bounds.slot("small", deadline=far()):
        with pytest.raises(DeadlineExceeded):
            async with bounds.slot("small", deadline=asyncio.get_running_loop().time() + 0.01):
                pass
        assert bounds.queued("small") == 0


async def test_a_deadline_that_has_passed_gets_no_place() -> None:
    bounds = admission()
    with pytest.raises(DeadlineExceeded):
        async with bounds.slot("small", deadline=asyncio.get_running_loop().time()):
            pass
    assert bounds.running("small") == 0


async def test_a_waiter_that_leaves_makes_room() -> None:
    bounds = admission(queue=1)
    async with bounds.slot("small", deadline=far()):
        task = asyncio.create_task(enter(bounds))
        await settle()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert bounds.queued("small") == 0


async def test_a_place_given_in_the_moment_of_leaving_is_handed_on() -> None:
    bounds = admission()
    first = bounds.slot("small", deadline=far())
    await first.__aenter__()
    leaving, next_one = asyncio.create_task(enter(bounds)), asyncio.create_task(enter(bounds))
    await settle()
    await first.__aexit__(None, None, None)
    leaving.cancel()
    await asyncio.gather(leaving, next_one, return_exceptions=True)
    assert next_one.exception() is None
    assert (bounds.running("small"), bounds.queued("small")) == (0, 0)


async def test_a_failure_inside_gives_the_place_back() -> None:
    bounds = admission()
    with pytest.raises(ZeroDivisionError):
        async with bounds.slot("small", deadline=far()):
            raise ZeroDivisionError
    assert bounds.running("small") == 0


async def test_a_name_that_is_no_tier_is_not_bounded() -> None:
    bounds = admission()
    async with bounds.slot("", deadline=0.0), bounds.slot("", deadline=0.0):
        assert bounds.running("") == 0


async def test_a_reload_widens_a_tier_and_wakes_its_line() -> None:
    bounds = admission()
    async with bounds.slot("small", deadline=far()):
        task = asyncio.create_task(enter(bounds))
        await settle()
        assert bounds.queued("small") == 1
        bounds.reshape([Tier("small", "b", concurrency=2), Tier("large", "c")])
        await task
    assert bounds.tiers() == ("small", "large")


async def test_a_tier_that_is_gone_drains_before_it_is_forgotten() -> None:
    bounds = admission()
    async with bounds.slot("small", deadline=far()):
        bounds.reshape([])
        assert bounds.running("small") == 1
    bounds.reshape([])
    assert bounds.tiers() == ()


async def test_the_time_to_come_back_follows_how_long_places_are_held() -> None:
    now = [0.0]
    bounds = TierAdmission([Tier("small", "b", concurrency=1, queue=0)], lambda: now[0])
    for _ in range(60):
        async with bounds.slot("small", deadline=1e9):
            now[0] += 20.0
    async with bounds.slot("small", deadline=1e9):
        with pytest.raises(Overloaded) as caught:
            async with bounds.slot("small", deadline=1e9):
                pass
    assert caught.value.retry_after_s == pytest.approx(20.0, rel=0.1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=20), st.integers(1, 3), st.integers(0, 4))
def test_no_place_is_ever_lost_or_given_twice(jobs: list[tuple[int, bool]], concurrency: int, queue: int) -> None:
    async def run() -> None:
        bounds, most = admission(concurrency, queue), 0

        async def work(turns: int) -> None:
            nonlocal most
            async with bounds.slot("small", deadline=far()):
                most = max(most, bounds.running("small"))
                for _ in range(turns):
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(work(turns)) for turns, _ in jobs]
        await asyncio.sleep(0)
        for task, (_, leaves) in zip(tasks, jobs, strict=True):
            if leaves:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert most <= concurrency
        assert (bounds.running("small"), bounds.queued("small")) == (0, 0)

    asyncio.run(run())


async def test_the_wait_is_nothing_while_a_place_is_free_and_then_what_is_ahead() -> None:
    bounds = admission(concurrency=1, queue=2)
    assert (bounds.wait_s("small"), bounds.wait_s("unbounded")) == (0.0, 0.0)
    async with bounds.slot("small", deadline=far()):
        assert bounds.wait_s("small") == FIRST_GUESS_S
        waiting = asyncio.ensure_future(bounds.slot("small", deadline=far()).__aenter__())
        await asyncio.sleep(0)
        assert bounds.wait_s("small") == 2 * FIRST_GUESS_S
    await waiting


async def test_there_is_room_while_a_place_is_free() -> None:
    bounds = admission(concurrency=1)
    assert bounds.has_room("small")
    async with bounds.slot("small", deadline=far()):
        assert not bounds.has_room("small")
    assert bounds.has_room("unbounded")
