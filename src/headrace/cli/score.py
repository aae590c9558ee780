"""`headrace router score`: how much each question gains from the strong model of a pair."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from headrace.contracts.errors import ConfigError
from headrace.models.catalog.catalogue import Catalogue
from headrace.router.quality import model as quality
from headrace.router.quality.backends import basis, parameters_in
from headrace.router.quality.model import Candidate


class _Asked(msgspec.Struct):
    question_id: str
    question: str


class _Scored(msgspec.Struct):
    question_id: str
    score: float


def score(
    questions: Annotated[Path, typer.Option("--input", help='JSONL of {"question_id", "question"}')],
    weak: Annotated[str, typer.Option(help="the cheaper model")],
    strong: Annotated[str, typer.Option(help="the better model")],
    output: Annotated[Path, typer.Option(help='JSONL to write, {"question_id", "score"}: high goes to the strong one')],
    artefact: Annotated[Path | None, typer.Option(help="folder of a quality artefact (default: the packaged)")] = None,
) -> None:
    """Score questions by predicted gain: P(strong is right) minus P(weak is right). Calls no model."""
    model = quality.load(artefact)
    candidates = [Candidate(name, parameters_of(name)) for name in (weak, strong)]
    for one in candidates:
        if not model.knows(one):
            sys.stderr.write(f"{basis(one)}\n")
    predictor = model.bind(candidates)
    lines, unlike = [], 0
    for asked in read_questions(questions):
        predicted = predictor.predict(asked.question)
        unlike += not predicted.is_familiar
        lines.append(_Scored(asked.question_id, round(float(predicted.quality[1] - predicted.quality[0]), 6)))
    try:
        output.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    except OSError as exc:
        raise ConfigError(f"{output}: cannot be written ({exc.strerror}); name another file") from exc
    sys.stdout.write(f"{output}: {len(lines)} questions scored, {unlike} unlike all that training met\n")


def read_questions(path: Path) -> Iterator[_Asked]:
    """Yield the questions of a JSONL file; ConfigError names the line that is wrong. Empty lines are passed over."""
    decoder = msgspec.json.Decoder(_Asked)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror}); pass a JSONL file of questions") from exc
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise ConfigError(
                f'{path}:{number}: {exc}; write {{"question_id": "…", "question": "…"}} on every line'
            ) from exc


def parameters_of(name: str) -> int:
    """Return a model's parameters from the catalogue, or from its name (llama-3.1-8b, smollm2-135m); 0 if neither."""
    catalogue = Catalogue.packaged()
    if name in catalogue.ids():
        return catalogue.get(name).card.parameters
    return parameters_in(name)
