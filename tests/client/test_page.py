"""docs/client.md names what there is."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from ark_broker.client import AsyncClient

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()


def test_the_table_has_every_method_and_no_other() -> None:
    table = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    named = {name for row in table for name in re.findall(r"`(\w+)\(", row)}
    methods = {name for name, _ in inspect.getmembers(AsyncClient, inspect.isfunction) if not name.startswith("_")}
    assert named == methods - {"aclose"}


def test_the_examples_on_the_page_are_python() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        compile(block, "client.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_every_example_is_on_the_page() -> None:
    examples = {path.name for path in (Path(__file__).parents[2] / "docs" / "examples").glob("*.py")}
    assert examples == set(re.findall(r"\(examples/(\w+\.py)\)", PAGE))
