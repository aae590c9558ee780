"""The file of a run: a row an answer, appended as it comes, so that the same command goes on where it stopped."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

Row = dict[str, Any]
KEY: Final = "key"


def kept(path: Path) -> dict[str, Row]:
    """Return the rows of an earlier run by their key; a torn last line is left out."""
    found: dict[str, Row] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[str(row[KEY])] = row
    return found


async def collect(
    path: Path,
    jobs: Iterable[tuple[str, Callable[[], Awaitable[Row]]]],
    *,
    at_once: int,
    say: Callable[[str], None] = print,
) -> list[Row]:
    """Return a row for each job (key, what makes it), in their order; those that the file has are not made again."""
    have = kept(path)
    wanted = list(jobs)
    missing = [(key, make) for key, make in wanted if key not in have]
    path.parent.mkdir(parents=True, exist_ok=True)
    places = asyncio.Semaphore(at_once)
    with path.open("a", encoding="utf-8") as sink:

        async def run(key: str, make: Callable[[], Awaitable[Row]]) -> None:
            async with places:
                row = {KEY: key, **await make()}
            have[key] = row
            sink.write(json.dumps(row) + "\n")
            sink.flush()
            done = sum(one in have for one, _ in wanted)
            if done % 20 == 0 or done == len(wanted):
                say(f"{done} of {len(wanted)}")

        async with asyncio.TaskGroup() as group:
            for key, make in missing:
                group.create_task(run(key, make))
    return [have[key] for key, _ in wanted]


def grouped(rows: Sequence[Row], *names: str) -> dict[tuple[str, ...], list[Row]]:
    """Return the rows by the values of some of their fields, in the order in which these first come."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(str(row[name]) for name in names), []).append(row)
    return found
