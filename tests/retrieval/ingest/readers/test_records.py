import json

import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.ingest.readers.records import read_json, read_lines, read_table, read_tabs


def test_rows_name_their_columns() -> None:
    assert read_table('name,city\nAda,"Lon\ndon"\nBob,\n') == "name: Ada; city: Lon don\nname: Bob"


def test_a_table_without_a_header_keeps_its_cells() -> None:
    assert read_table("1,2\n3,4\n") == "1 | 2\n3 | 4"


@pytest.mark.parametrize("text", ["name;city\nAda;London", "name|city\nAda|London"])
def test_the_delimiter_is_guessed(text: str) -> None:
    assert read_table(text) == "name: Ada; city: London"


def test_more_cells_than_columns_are_kept() -> None:
    assert read_table("a,b\n1,2,3") == "a: 1; b: 2; 3"


def test_a_header_alone_is_its_own_text() -> None:
    assert read_table("a,b\n\n") == "a | b"
    assert read_table("") == ""


def test_tabs_need_no_guess() -> None:
    assert read_tabs("a\tb\n1,5\t2") == "a: 1,5; b: 2"


def test_a_cell_without_end_is_damage() -> None:
    with pytest.raises(InvalidRequest, match="damaged table") as caught:
        read_table('a,b\n"' + "x" * 2_000_000)
    assert caught.value.code == "invalid_file"


def test_each_line_must_be_json() -> None:
    assert read_lines('{"a":1}\n \n[2]') == '{"a":1}\n[2]'
    with pytest.raises(InvalidRequest, match="record 2"):
        read_lines('{"a":1}\nnope')


def test_json_on_one_long_line_is_laid_out() -> None:
    value = {"rows": [{"n": n, "t": "é\ud800"} for n in range(200)]}
    text = read_json(json.dumps(value))
    assert text.count("\n") > 200
    assert "é\ufffd" in text


def test_json_that_is_laid_out_stays() -> None:
    assert read_json('{\n  "a": 1\n}') == '{\n  "a": 1\n}'


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_bad_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_json(text)
    assert caught.value.code == "invalid_file"
