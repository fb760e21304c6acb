"""The README does what it says: its Python blocks run, its links and commands exist."""

import re
import warnings
from pathlib import Path

import pytest

import fmahal

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.S)


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_python_blocks_run(block, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(BLOCKS[block], f"README block {block}", "exec"), {})
    if block == 0:
        out = capsys.readouterr().out
        assert "[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13]" in out
        assert "[-1 -1 -1] True" in out


def test_commands_are_marked():
    for name in ("main", "tests"):
        assert re.search(rf"<!-- run: {name} -->\n```bash\n.+\n```", README)


def test_names_in_the_table_exist():
    table = README.split("## What is where")[1]
    for name in set(re.findall(r"`([A-Z][A-Za-z]+)", table)):
        assert hasattr(fmahal, name), name


def test_links_lead_somewhere():
    if not (ROOT / "docs").is_dir():
        pytest.skip("an installed copy has no docs folder")
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_it_is_one_screen():
    assert len(README.splitlines()) <= 70
