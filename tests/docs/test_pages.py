import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import readme_tables
from headrace.cli import COMMANDS
from tests.docs.pages import ROOT, Block, blocks, links, named_paths, pages
from tests.support.replies import Say
from tests.support.upstream import Upstream

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    assert [link for link in links(page) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_a_page_names_exists(page: Path) -> None:
    assert [path for path in named_paths(page) if not (ROOT / path).exists()] == []


def test_architecture_tells_a_request_in_nine_steps_that_each_name_a_file() -> None:
    life = (ROOT / "ARCHITECTURE.md").read_text().split("## The life of a request")[1].split("\n## ")[0]
    steps = re.findall(r"^(\d)\. (.+?)(?=^\d\. |\Z)", life, re.MULTILINE | re.DOTALL)
    assert [number for number, _ in steps] == list("123456789")
    assert all(re.search(r"`[\w/]+\.py`", text) for _, text in steps)


def test_every_make_target_a_page_names_exists() -> None:
    named = {word for page in pages() for word in re.findall(r"`make ([a-z-]+)", page.read_text())}
    named |= {word for block in blocks("sh") for word in re.findall(r"^make ([a-z-]+)", block.text, re.MULTILINE)}
    assert named - TARGETS == set()


def test_every_headrace_command_a_page_names_exists() -> None:
    text = "\n".join(page.read_text() for page in pages())
    assert set(re.findall(r"`(?:\.venv/bin/)?headrace ([a-z]+)", text)) - set(COMMANDS) == set()
    shell = "\n".join(block.text for block in blocks("sh"))
    assert set(re.findall(r"^(?:\.venv/bin/)?headrace ([a-z]+)", shell, re.MULTILINE)) - set(COMMANDS) == set()


def test_help_lists_every_target_that_explains_itself() -> None:
    explained = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
    shown = subprocess.run(["make", "-C", ROOT, "help"], capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in shown.splitlines() if line.strip()} >= explained


def test_continuous_integration_runs_the_readmes_own_test_command() -> None:
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("exec make test")
    assert "\nmake test " in (ROOT / "README.md").read_text()


def test_the_readmes_tables_are_those_of_the_result_files() -> None:
    readme = (ROOT / "README.md").read_text()
    assert readme_tables.fill(readme) == readme, "run: python -m benchmarks.readme_tables"


@pytest.mark.parametrize("block", blocks("sh", "bash", "console"), ids=str)
def test_shell_blocks_are_sound_shell(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)


@pytest.mark.parametrize("block", blocks("python"), ids=str)
async def test_python_blocks_run(block: Block) -> None:
    async with Upstream() as upstream:
        upstream.always(Say(["Par", "is"]))
        process = await _run(["-c", block.text], upstream.url)
    assert process == 0


@pytest.mark.parametrize("example", ["stream.py", "tools.py"])
async def test_examples_run(example: str) -> None:
    async with Upstream() as upstream:
        upstream.always(Say(["Par", "is"]))
        process = await _run([str(ROOT / "examples" / example)], upstream.url)
    assert process == 0


async def _run(arguments: list[str], url: str) -> int:
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env={"HEADRACE_URL": url})
    async with asyncio.timeout(60):
        return await process.wait()
