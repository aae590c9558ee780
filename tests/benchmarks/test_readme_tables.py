from pathlib import Path

import pytest

from benchmarks import readme_tables

HEAD = "date,commit,device,versions,row,mode,load,figure,p20,p50,p80,windows\n"
STAMP = "2026-11-22,abc1234,2 cores,aiohttp 3,"
PAGE = "# Title\n<!-- table: {name} -->\nstale words\n<!-- end -->\nafter\n"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "gateway_overhead.csv").write_text(
        HEAD
        + f"{STAMP}headrace,plain,c1,added_p50_ms,0.4,0.512345,0.6,4\n"
        + f"{STAMP}headrace,plain,c32,requests_per_s,2000,2100.4,2200,4\n"
        + f"{STAMP}direct,plain,c32,requests_per_s,9000,9100,9200,4\n"
    )
    (tmp_path / "some_bench.csv").write_text(HEAD + f"{STAMP}smollm2 int8,,c8,tokens_per_s,270,278,290,3\n")
    return tmp_path


def test_medians_stand_under_their_headings_with_what_they_were_run_on(results: Path) -> None:
    page = readme_tables.fill(PAGE.format(name="gateway_overhead"), results)
    assert "| headrace | 0.512 |  | 2,100 |" in page
    assert "| direct |  |  | 9,100 |" in page
    assert "on 2 cores, 2026-11-22, commit abc1234; aiohttp 3." in page
    assert page.startswith("# Title\n")
    assert page.endswith("<!-- end -->\nafter\n")
    assert "stale words" not in page


def test_a_table_without_chosen_columns_shows_all_of_them(results: Path) -> None:
    page = readme_tables.fill(PAGE.format(name="some_bench"), results)
    assert "|  | tokens_per_s c8 |" in page
    assert "| smollm2 int8 | 278 |" in page


def test_a_benchmark_without_results_says_how_to_get_them(results: Path) -> None:
    page = readme_tables.fill(PAGE.format(name="cascade_live"), results)
    assert "Not measured yet: `make bench NAME=cascade_live`." in page


def test_filling_twice_changes_nothing(results: Path) -> None:
    once = readme_tables.fill(PAGE.format(name="some_bench"), results)
    assert readme_tables.fill(once, results) == once


def test_intervals_stand_in_brackets_where_there_are_any(results: Path) -> None:
    head, stamp = HEAD.strip() + ",low95,high95\n", STAMP
    (results / "cascade_live.csv").write_text(
        head
        + f"{stamp}cascade,record,all,accuracy_percent,71,72.5,74,2000,67.1,77.2\n"
        + f"{stamp}cascade,record,all,small_share_percent,8,8,8,2000,8,8\n"
    )
    page = readme_tables.fill(PAGE.format(name="cascade_live"), results)
    assert "| cascade | 72.5 [67.1, 77.2] |" in page
    assert "| 8 |" in page
