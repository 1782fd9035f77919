"""Reading the code out of answers, by tables: whatever a model wraps its code in, the code comes out."""

from __future__ import annotations

import ast
import contextlib
import textwrap

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from executions.generation.blocks import MAX_MENDS, Block, blocks_of
from executions.generation.extraction import NoCode, extract

CODE = "def add(a, b):\n    return a + b\n"
DRAFT = "def add(a, b):\n    return a - b\n"
SKETCH = "def add(a, b):\n    return ???\n"
CONSTANTS = "import math\n\nLIMIT = 3\n"
CLASS = "class C:\n    x = 1\n"


def block(code: str = CODE, word: str = "python", marks: str = "```") -> str:
    return f"{marks}{word}\n{code.rstrip()}\n{marks}\n"


PLAIN = {
    "fence alone": block(),
    "prose around the fence": f"Here you are:\n\n{block()}\nThis adds two numbers.",
    "upper case word": block(word="Python"),
    "shouted word": block(word="PYTHON"),
    "py": block(word="py"),
    "py3": block(word="py3"),
    "python3": block(word="python3"),
    "python3.11": block(word="python3.11"),
    "title after the word": block(word='python title="x.py"'),
    "file after a colon": block(word="python:pkg/x.py"),
    "options after a comma": block(word="python,linenos"),
    "braces": block(word="{.python .numberLines}"),
    "braces without a dot": block(word="{python}"),
    "space before the word": block(word=" python"),
    "bash block before": f"Install:\n{block('pip install x', 'bash')}\nThen:\n{block()}",
    "json block after": f"{block()}\nGives:\n```json\n{{}}\n```\n",
    "unmarked block": block(word=""),
    "block marked as text": block(word="text"),
    "output in an unmarked block after": f"{block()}\nPrints:\n```\n3\n```\n",
    "tilde fence": block(marks="~~~"),
    "four backticks": block(marks="````"),
    "unterminated fence": f"Sure:\n```python\n{CODE}",
    "unterminated fence with no last line end": f"```python\n{CODE.rstrip()}",
    "no fence at all": CODE,
    "no fence, blank lines around": f"\n\n{CODE}\n\n",
    "tag on the line before": f"<answer>\n{block()}</answer>",
    "details element": f"<details>\n{block()}</details>",
    "in a list": f"1. The code:\n\n{textwrap.indent(block(), '   ')}\n2. Done.",
    "in a bullet on its own line": f"- {textwrap.indent(block(), '  ').lstrip()}",
    "in a quote": textwrap.indent(block(), "> ", lambda _: True),
    "indented by three": textwrap.indent(block(), "   "),
    "indented by four": f"Look:\n\n{textwrap.indent(block(), '    ')}",
    "all of it indented": textwrap.indent(f"{block()}", "        "),
    "indented block without a fence": f"The code is\n\n{textwrap.indent(CODE, '    ')}\nand that is all.",
    "code inside its block has a margin": f"```python\n{textwrap.indent(CODE, '    ')}```\n",
    "prose and code without any fence": f"Here is the function.\n\n{CODE}\nIt adds. Really!",
    "crlf": f"Here:\r\n{block()}".replace("\n", "\r\n").replace("\r\r", "\r"),
    "old mac line ends": f"Here:\n{block()}".replace("\n", "\r"),
    "byte order mark": f"\ufeff{block()}",
    "thoughts before": f"<think>\nMaybe\n{block('def add(): ...')}no\n</think>\n{block()}",
    "session before": f"Use:\n```python\n>>> add(1, 2)\n3\n```\n{block()}",
    "session after": f"{block()}\n```pycon\n>>> add(1, 2)\n3\n```\n",
    "empty block before": f"```python\n```\n{block()}",
    "example of use after": f"{block()}\nUse it:\n```python\nfrom pkg.x import add\nprint(add(1, 2))\n```\n",
    "example of use before": f"```python\nresult = add(1, 2)\nprint(result)\n```\n{block()}",
    "tests after": f"{block()}\n```python\ndef test_add():\n    assert add(1, 2) == 3\n```\n",
    "a draft, then the whole": f"{block(DRAFT)}\nWrong! Better:\n{block()}",
    "a sketch that does not parse, then the whole": f"{block(SKETCH)}\n{block()}",
    "the same block twice": f"{block()}\n{block()}",
    "a quotation of one line after": f"{block()}\nThe heart is:\n```python\n    return a + b\n```\n",
}


@pytest.mark.parametrize("text", PLAIN.values(), ids=PLAIN.keys())
def test_the_code_comes_out_exactly(text: str) -> None:
    assert extract(text).code == CODE


BACKTICKS = {
    "indented docstring": 'def f():\n    """Example:\n    ```\n    f()\n    ```\n    """\n    return 1\n',
    "docstring at the margin": '"""Usage\n```\nf()\n```\n"""\n\n\ndef f():\n    return 1\n',
    "marked inner fence": 'def f():\n    """See\n```python\nf()\n```\n    """\n    return 1\n',
    "one inner fence": 'FENCE = """\n```\n"""\n\n\ndef f():\n    return FENCE\n',
    "three inner fences": 'TEXT = """\n```\n```\n```\n"""\n\n\ndef f():\n    return TEXT\n',
    "in a string on one line": 'FENCE = "```"\n',
    "in a comment": "# ```python\nx = 1\n",
}


@pytest.mark.parametrize("code", BACKTICKS.values(), ids=BACKTICKS.keys())
@pytest.mark.parametrize(
    "after", ["", "\nThat is all. It has ``` in it.\n", f"\nUse:\n{block('f()', 'bash')}"]
)
@pytest.mark.parametrize("before", ["", "Here:\n\n", f"{block('pip install x', 'bash')}\n"])
def test_backticks_inside_the_code_do_not_cut_it(code: str, before: str, after: str) -> None:
    assert extract(f"{before}```python\n{code}```\n{after}").code == code


def test_backticks_inside_a_fence_that_is_never_closed_do_not_cut_it() -> None:
    code = BACKTICKS["docstring at the margin"]
    got = extract(f"Sure\n```python\n{code}")
    assert got.code == code
    assert "unterminated" in got.note


def test_backticks_inside_a_block_within_a_list_do_not_cut_it() -> None:
    code = BACKTICKS["docstring at the margin"]
    assert extract("1. So:\n\n" + textwrap.indent(f"```python\n{code}```\n", "   ")).code == code


@pytest.mark.parametrize("margin", ["", "  ", "   "])
def test_lines_of_spaces_and_tabs_are_code_like_any_other(margin: str) -> None:
    code = 'TEXT = """\n   \n\t\n      x\n"""\nnext = 1\n'
    assert extract(textwrap.indent(block(code), margin, lambda _: True)).code == code


def names_of(code: str) -> list[str]:
    found = (ast.FunctionDef, ast.ClassDef)
    return [node.name for node in ast.parse(code).body if isinstance(node, found)]


def test_parts_are_joined_in_the_order_of_the_answer() -> None:
    got = extract(f"{block(CONSTANTS)}\nand\n{block()}\nand\n{block(CLASS)}")
    assert names_of(got.code) == ["add", "C"]
    assert got.code.startswith("import math")
    assert "LIMIT = 3" in got.code
    assert got.blocks == 3
    assert "joined" in got.note


def test_a_later_whole_replaces_earlier_parts() -> None:
    whole = "class C:\n    x = 2\n\n\ndef add(a, b):\n    return b + a\n"
    assert extract(f"{block()}\n{block(CLASS)}\nTogether:\n{block(whole)}").code == whole


def test_one_corrected_definition_takes_the_place_of_the_first() -> None:
    first = "import math\n\n\nclass Base:\n    x = 1\n\n\nclass Child(Base):\n    pass\n"
    corrected = "class Base:\n    x = 2\n"
    got = extract(f"{block(first)}\nOops, Base should be:\n{block(corrected)}").code
    assert names_of(got) == ["Base", "Child"]
    assert "x = 2" in got
    assert "x = 1" not in got


def test_an_excerpt_that_only_repeats_is_left_out() -> None:
    whole = "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n"
    assert extract(f"{block(whole)}\nThe first one:\n{block()}").code == whole


def test_joined_parts_keep_the_future_import_where_python_wants_it() -> None:
    first = '"""What it does."""\n\nLIMIT = 3\n'
    second = "from __future__ import annotations\n\n\ndef f(x: Later) -> None: ...\n"
    code = extract(f"{block(first)}\n{block(second)}").code
    compile(code, "joined", "exec")
    assert ast.get_docstring(ast.parse(code)) == "What it does."


def test_a_marked_block_that_does_not_parse_is_still_the_answer() -> None:
    assert extract("Sure\n```python\ndef f(:\n    pass\n```\nBye").code == "def f(:\n    pass\n"


def test_a_broken_program_is_not_replaced_by_the_example_after_it() -> None:
    broken = "def f(:\n    pass\n"
    assert extract(f"{block(broken)}\n{block('print(f(1))')}").code == broken


def test_a_program_of_calls_alone_is_taken() -> None:
    assert extract(block("print(1)\n")).code == "print(1)\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n\n",
        "I cannot help with that.",
        "Done",
        "# Title\n\nDone",
        "yes",
        "```bash\npip install x\n```",
        "```json\n{}\n```",
        "```python\n```",
        "```python\n>>> add(1, 2)\n3\n```",
        "```\nsome output, not code\n```",
        "from the start import was difficult, so no",
        "Use `add(1, 2)` instead.",
        '```javascript\nlet x = "def f(): pass"\n```',
    ],
)
def test_an_answer_without_code_says_so(text: str) -> None:
    with pytest.raises(NoCode):
        extract(text)


@pytest.mark.parametrize(
    ("language", "word", "code"),
    [
        ("javascript", "js", "const add = (a, b) => a + b;\n"),
        ("JavaScript", "JavaScript", "const add = 1;\n"),
        ("typescript", "ts", "let x: number = 1;\n"),
        ("rust", "rust", "fn main() {}\n"),
        ("sql", "", "select 1;\n"),
    ],
)
def test_other_languages_are_taken_by_their_word(language: str, word: str, code: str) -> None:
    text = f"{block('x = 1')}\n{block(code, word)}"
    assert extract(text, language=language).code == code


def test_another_language_without_a_block_is_no_code() -> None:
    with pytest.raises(NoCode):
        extract("x = 1", language="rust")


@given(st.text())
def test_any_text_gives_code_or_no_code(text: str) -> None:
    with contextlib.suppress(NoCode):
        assert extract(text).code.endswith("\n")


@given(
    st.lists(
        st.sampled_from(["```", "```python", "    ```", "~~~", "x = '''", "def f():", "    y", "", "- a"])
    )
)
def test_any_heap_of_fences_gives_code_or_no_code(lines: list[str]) -> None:
    with contextlib.suppress(NoCode):
        assert extract("\n".join(lines)).code.strip()


@given(st.lists(st.sampled_from(["a = '''", "'''", "    ```", "b = 1", '"""', "", "# ```"])))
def test_code_that_parses_and_shows_no_fence_at_the_margin_survives_the_round_trip(lines: list[str]) -> None:
    code = "\n".join(["first = 1", *lines, "last = 1", ""])
    try:
        compile(code, "code", "exec")
    except SyntaxError:
        return
    assert extract(f"Here:\n\n```python\n{code}```\n").code == code


_PROSE = [
    "Here it is:",
    "",
    "a ``` b",
    "x",
    "- item",
    "    y = 1",
    "===",
    "1. a",
    "> q",
    "é",
    "~~~",
    "```",
    "``` a",
    "\t```",
]
_OPENING = ["```python", "```", "```py ", "  ```python", "````python", '```python title="a`b"', "```a&amp;b"]
_BODY = ["def f():", "    return 1", "", "~~~", "- a", "   ```", "```py", "# ```", "\ty"]


@given(
    st.lists(st.sampled_from(_PROSE), max_size=3),
    st.sampled_from(_OPENING),
    st.lists(st.sampled_from(_BODY), max_size=4),
    st.sampled_from(["```", "``` ", "```\t", "````", "  ```", "``` x", "~~~"]),
    st.lists(st.sampled_from(_PROSE), max_size=3),
)
@example(["Here it is:", ""], "```python", ["def f():", "    return 1"], "```", ["", "x"])
@example([], "```", [], "```", [])
@example(["- item"], "```python", ["def f():"], "```", [])
def test_blocks_are_where_commonmark_sees_them(
    before: list[str], opening: str, body: list[str], closing: str, after: list[str]
) -> None:
    text = "\n".join([*before, opening, *body, closing, *after])

    found = blocks_of(text, complete=lambda _: True)

    # As everywhere here without HTML blocks; the same rules read by the library alone.
    tokens = MarkdownIt("commonmark").disable(["html_block"]).parse(text)
    assert [(one.content, [one.first_line, one.end_line], one.fenced) for one in found] == [
        (token.content, token.map, token.type == "fence")
        for token in tokens
        if token.type in ("fence", "code_block")
    ]


def test_an_answer_made_of_fences_is_read_without_trying_every_pair() -> None:
    tried: list[Block] = []

    def never(block: Block) -> bool:
        tried.append(block)
        return False

    found = blocks_of("```python\nx = 1\n" + "```\n" * 999, complete=never)
    assert len(found) == 500
    assert len(tried) <= len(found) + MAX_MENDS
