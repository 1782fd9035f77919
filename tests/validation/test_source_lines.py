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
