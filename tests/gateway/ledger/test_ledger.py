import itertools
import signal
import subprocess
import sys
from pathlib import Path

from headrace.gateway.ledger.ledger import Ledger, Recent
from headrace.gateway.ledger.reader import read
from headrace.gateway.settings.tree import LedgerSettings
from tests.support.records import record

WRITES_FOR_EVER = """
import sys
import time
from pathlib import Path
from headrace.gateway.ledger.ledger import Ledger
from headrace.gateway.settings.tree import LedgerSettings
from tests.support.records import record

folder = Path(sys.argv[1])
settings = LedgerSettings(folder, 50_000, 100, 0.001, False, 10_000, frozenset(), frozenset())
ledger = Ledger(settings, on_drop=lambda n: None)
ledger.start()
number = 0
while True:
    size = len(ledger.record(record(f"dec_{number}")))
    number += 1
    if number == 3_000:
        while sum(path.stat().st_size for path in folder.glob("*.jsonl")) < 1_000 * size:
            time.sleep(0.001)
        print("writing", flush=True)
"""


def settings_of(folder: Path) -> LedgerSettings:
    return LedgerSettings(
        folder, 10**6, 4, 0.01, fsync=False, queue_records=100, headers=frozenset(), metadata=frozenset()
    )


async def test_a_record_is_found_at_once_and_after_a_restart(tmp_path: Path) -> None:
    ledger = Ledger(settings_of(tmp_path), on_drop=lambda _: None)
    ledger.start()
    line = ledger.record(record("dec_1"))
    found = await ledger.find("dec_1", "research")
    assert found is not None
    assert found["decision"] == "dec_1"
    assert line.endswith(b"\n")
    ledger.close()
    again = Ledger(settings_of(tmp_path), on_drop=lambda _: None)
    assert await again.find("dec_1", "research") == found
    assert await again.find("dec_1", "others") is None
    again.close()


async def test_what_cannot_be_queued_is_told() -> None:
    lost: list[int] = []
    ledger = Ledger(settings_of(Path("/nowhere")), on_drop=lost.append)
    for number in range(103):
        ledger.record(record(f"dec_{number}"))
    assert sum(lost) == 3
    ledger.close()


def test_memory_is_bounded_by_number_and_bytes() -> None:
    recent = Recent(max_records=3, max_bytes=100)
    for number in range(5):
        recent.put(f"d{number}", "t", b"x")
    assert recent.get("d1", "t") is None
    assert recent.get("d4", "t") == b"x"
    recent.put("big", "t", b"y" * 99)
    assert recent.get("d3", "t") is None
    recent.put("over", "t", b"z" * 200)
    assert recent.get("over", "t") is None


def test_memory_is_the_tenants_own() -> None:
    recent = Recent()
    recent.put("d", "one", b"x")
    assert recent.get("d", "two") is None
    recent.put("d", "one", b"yy")
    assert recent.get("d", "one") == b"yy"


def test_a_kill_tears_at_most_the_last_line_of_a_file(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITES_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"writing\n"
        child.send_signal(signal.SIGKILL)
    lines = [line for path in tmp_path.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    kept = [int(record["decision"].removeprefix("dec_")) for record in read(tmp_path)]
    assert len(lines) - len(kept) <= 1
    assert kept[:1000] == list(range(1000))
    assert all(before < after for before, after in itertools.pairwise(kept))  # a full queue may drop some
