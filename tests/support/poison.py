"""The poisoned documents of benchmarks/data/rag_attacks.jsonl."""

import json
from pathlib import Path
from typing import Any, Final

ATTACKS: Final[list[dict[str, Any]]] = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "benchmarks" / "data" / "rag_attacks.jsonl").read_text().splitlines()
]
