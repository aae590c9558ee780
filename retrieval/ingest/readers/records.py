"""CSV, TSV, JSON and JSON Lines to text of one record a line, so that a passage never cuts one without need."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Final

from headrace.retrieval.ingest import refusals
from headrace.retrieval.ingest.clean import clean

_SNIFFED: Final = 8192
_DELIMITERS: Final = ",;\t|"
_FIELD_LIMIT: Final = 1 << 20
_LONG_LINE: Final = 1000


def read_tabs(text: str) -> str:
    """Return a table of tab-separated values as `read_table` does."""
    return read_table(text, "\t")


def read_table(text: str, delimiter: str | None = None) -> str:
    """Return a table as lines of `column: value; …`, so that each row can be read alone; None guesses the delimiter."""
    csv.field_size_limit(_FIELD_LIMIT)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or _delimiter(text))
    try:
        first = next((row for row in rows if any(row)), [])
        header = [_flat(cell) for cell in first] if _is_header(first) else []
        lines = list(_lines(rows, header) if header else _lines(iter([first, *rows]), []))
    except csv.Error as exc:
        raise refusals.invalid(f"is a damaged table at line {rows.line_num}: {exc}") from exc
    return "\n".join(lines or [" | ".join(header)])


def read_lines(text: str) -> str:
    """Return JSON Lines as they are, without the empty ones; each must be valid JSON."""
    lines = [line for line in text.split("\n") if line.strip()]
    for number, line in enumerate(lines, start=1):
        _parse(line, f"JSON in record {number}")
    return "\n".join(lines)


def read_json(text: str) -> str:
    """Return a JSON document over lines; one that is on few long lines is laid out anew."""
    value = _parse(text, "JSON")
    if max(map(len, text.split("\n"))) <= _LONG_LINE:
        return text
    return clean(json.dumps(value, ensure_ascii=False, indent=1))


def _parse(text: str, what: str) -> object:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise refusals.invalid(f"is not valid {what}: {exc}") from exc
    except RecursionError as exc:
        raise refusals.invalid(f"is {what} nested too deep to read") from exc


def _delimiter(text: str) -> str:
    try:
        return csv.Sniffer().sniff(text[:_SNIFFED], _DELIMITERS).delimiter
    except csv.Error:
        return ","


def _is_header(row: Sequence[str]) -> bool:
    cells = [cell.strip() for cell in row]
    return len(set(cells)) == len(cells) > 1 and all(cells) and not any(_is_number(cell) for cell in cells)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _lines(rows: Iterator[list[str]], header: Sequence[str]) -> Iterator[str]:
    for row in rows:
        cells = [_flat(cell) for cell in row]
        if not any(cells):
            continue
        named = [
            f"{header[column]}: {cell}" if column < len(header) else cell for column, cell in enumerate(cells) if cell
        ]
        yield "; ".join(named) if header else " | ".join(cells)


def _flat(cell: str) -> str:
    return " ".join(cell.split())
