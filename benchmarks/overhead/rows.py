"""Who is compared: each row's process and the model name its clients use."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_CONFIG = Path(__file__).with_name("headrace.yaml")
Command = Callable[[int, int, Path], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Row:
    """A gateway under test. command: (own port, upstream's port, scratch folder) -> argv; None is the floor."""

    name: str
    model: str
    command: Command | None


def _bare(module: str) -> Command:
    def command(port: int, upstream: int, _folder: Path) -> Sequence[str]:
        url = f"http://127.0.0.1:{upstream}"
        return [sys.executable, "-m", f"benchmarks.overhead.{module}", "--port", str(port), "--upstream", url]

    return command


def _headrace(port: int, upstream: int, folder: Path) -> Sequence[str]:
    config = folder / f"headrace-{port}.yaml"
    text = _CONFIG.read_text().replace("UPSTREAM_PORT", str(upstream))
    config.write_text(text.replace("LEDGER_FOLDER", str(folder / f"ledger-{port}")))
    return [str(Path(sys.executable).with_name("headrace")), "serve", "--config", str(config), "--port", str(port)]


FLOOR = Row("direct", "mock", None)
ROWS = (
    FLOOR,
    Row("headrace", "headrace/auto", _headrace),
    Row("headrace, no judge", "headrace/unjudged", _headrace),
    Row("bare asgi", "mock", _bare("bare_asgi")),
    Row("bare fastapi", "mock", _bare("bare_fastapi")),
)
