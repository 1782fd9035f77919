"""Lines of the assembled file are told as lines of the answer."""

from __future__ import annotations

import ast

from executions.validation.source_lines import answer_lines


def test_a_moved_function_keeps_its_inner_lines() -> None:
    answer = "import os\n\n\ndef f():\n    return os\n"
    whole = "import os\nimport re\n\n\ndef earlier():\n    return re\n\n\ndef f():\n    return os\n"
    lines = answer_lines(ast.parse(whole), ast.parse(answer))
    assert lines[9] == 4
    assert lines[10] == 5
    assert 6 not in lines


def test_a_statement_too_deep_to_be_followed_has_no_lines_and_hurts_no_other() -> None:
    answer = f"x = {'1 + ' * 990}1\n\n\ndef f():\n    return x\n"
    lines = answer_lines(ast.parse(f"import os\n{answer}"), ast.parse(answer))
    assert lines == {5: 4, 6: 5}
