import gzip
import json
from pathlib import Path

import pytest


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two recorded models, the larger a mixture of experts, over three questions."""
    home = tmp_path / "routing" / "sums"
    home.mkdir(parents=True)
    questions = [
        {"question_id": f"q{row}", "question": f"{row} + 1?", "subject": "sums", "group": "ab"[row % 2], "fold": row}
        for row in range(3)
    ]
    outcomes = [
        {"question_id": f"q{row}", "model": model, "correct": 1.0, "output_chars": 10 * (row + 1), "answer": said}
        for model, spoken in (("small", ("1.0", "2", None)), ("large", ("1", "3", None)))
        for row, said in enumerate(spoken)
    ]
    for name, rows in (("questions", questions), ("outcomes", outcomes)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (home / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (home / "models.csv").write_text(
        "model,family,params_b,active_params_b,note\nsmall,S,2,,\nlarge,L,100,20,MoE\nsecret,X,,,not disclosed\n"
    )
    return tmp_path
