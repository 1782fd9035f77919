"""No text takes the parsing process down."""

from __future__ import annotations

import ast

import pytest

from executions.findings import Finding
from executions.generation.extraction import extract
from executions.python_syntax import SMALL, tree_of
from executions.validation.parsing import parse


def test_a_module_is_parsed() -> None:
    assert isinstance(parse("def f():\n    return 1\n"), ast.Module)


def test_a_syntax_error_names_its_line_and_text() -> None:
    found = parse("x = 1\ndef f(:\n")
    assert isinstance(found, Finding)
    assert (found.rule, found.line) == ("syntax-error", 2)
    assert "def f(:" in found.message


def test_what_only_the_compiler_refuses_is_a_syntax_error() -> None:
    found = parse("def f():\n    pass\nreturn 1\n")
    assert isinstance(found, Finding)
    assert (found.rule, found.line) == ("syntax-error", 3)


def test_code_that_was_just_extracted_is_not_parsed_again() -> None:
    code = extract("Here it is:\n\n```python\ndef doubled(n):\n    return 2 * n\n```\n").code
    assert parse(code) is tree_of(code)


def test_trees_of_long_texts_are_not_kept() -> None:
    long = "x = 1\n" * (SMALL // 6 + 1)
    assert tree_of(long) is not tree_of(long)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + ")" * 5000,
        "x = " + "-" * 60000 + "1",
        "x = a" + ".b" * 30000,
        "x = " + "1+" * 30000 + "1",
        "x = " + "lambda:" * 9000 + "1",
        "x = " + "lambda:" * 2000 + "1",
        "if 1:\n pass\n" + "elif 1:\n pass\n" * 1100,
    ],
    ids=["brackets", "minuses", "attributes", "additions", "lambdas", "fewer-lambdas", "elifs"],
)
def test_deep_nesting_is_rejected_and_not_crashed_on(text: str) -> None:
    found = parse(text)
    assert isinstance(found, Finding)
    assert found.rule in ("syntax-error", "cannot-be-parsed")


def test_a_large_plain_module_is_parsed() -> None:
    text = "\n".join(f"def f{i}(x):\n    return x + {i}\n" for i in range(900))
    assert len(text) > 16 * 1024
    assert isinstance(parse(text), ast.Module)
