"""JavaScript and TypeScript are judged by their text; a language that nobody knows here is a finding, not a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from executions.findings import Severity
from executions.languages import KNOWN, language_named, not_tested
from executions.validation.candidate import Candidate
from executions.validation.pipeline import Validator
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.verdict import Isolation, Verdict


@pytest.fixture
def validator(tmp_path: Path) -> Validator:
    """The full set where nothing isolates: what would run a test says so by an exception."""
    return Validator(Sandbox.detect(data_dir=tmp_path, forced=Isolation.NONE))


async def judged(
    validator: Validator,
    source: str | bytes,
    *names: str,
    language: str = "javascript",
    path: str = "web/a.js",
) -> Verdict:
    tests = "import test from 'node:test'; // not Python\n"
    return await validator.validate(Candidate(source, tests, names, path, language=language))


GOOD_JAVASCRIPT = """\
import fs, { readFile as read } from "node:fs";
export function add(a, b) { return a + b; }
export async function* numbers() { yield* [1, 2]; }
export class Box { #inside = 0; static of = (x) => new Box(x); }
export const { left, right: [first = 1] } = pairs(), later = () => `${1}`;
let hidden;
export { hidden as shown };
export default add;
"""
GOOD_TYPESCRIPT = """\
export interface Item { readonly name: string; cents?: number }
export type Pair<T> = [T, T];
export enum Color { Red, Green }
export abstract class Shape<T extends object> { abstract area(): number }
export function over(a: string): string;
export function over(a: any): any { return a satisfies unknown; }
export const total = (items: readonly Item[]): number => items.length as number;
"""


@pytest.mark.parametrize(
    ("language", "path", "source", "names"),
    [
        ("javascript", "a.js", GOOD_JAVASCRIPT, "add numbers Box left first later hidden shown default"),
        ("JS", "a.mjs", GOOD_JAVASCRIPT, "add"),
        ("js", "a.cjs", "function f() {}\nmodule.exports = { f, g: f };\nexports.h = f;\n", "f g h"),
        ("javascript", "a.jsx", "export const App = () => <p className='x'>{1}</p>;\n", "App"),
        ("typescript", "a.ts", GOOD_TYPESCRIPT, "Item Pair Color Shape over total"),
        ("ts", "a.tsx", "export const App = (p: {n: number}) => <p>{p.n}</p>;\n", "App"),
    ],
)
async def test_good_code_passes_without_being_run(
    validator: Validator, language: str, path: str, source: str, names: str
) -> None:
    verdict = await judged(validator, source, *names.split(), language=language, path=path)
    assert verdict.findings == ()
    assert (verdict.passed, verdict.executed, verdict.assurance) == (True, False, "static")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("function f( {\n  return 1;\n}\n", 1),
        ("let a = 1;\nlet b = (1 + ;\n", 2),
        ("function f() {\n  return 1;\n", 2),
        ("def f(x):\n    return x\n", 1),
    ],
)
async def test_a_syntax_error_is_told_with_its_line(validator: Validator, source: str, line: int) -> None:
    verdict = await judged(validator, source, "f")
    [finding] = verdict.findings
    assert (finding.severity, finding.rule, finding.line) == (Severity.CRITICAL, "syntax-error", line)
    assert finding.message.startswith("JavaScript: ")


async def test_types_are_no_javascript(validator: Validator) -> None:
    source = "export function f(a: number): number { return a; }\n"
    assert not (await judged(validator, source, "f")).passed
    assert (await judged(validator, source, "f", language="ts", path="a.ts")).passed


@pytest.mark.parametrize(
    "source",
    [
        "function other() {}\n",
        "function outer() { function f() {} }\n",
        "f();\n",
        "// function f() {}\n",
        "other.f = 1;\n",
        "let {f: g} = x;\n",
    ],
)
async def test_a_name_must_be_bound_at_the_top_level(validator: Validator, source: str) -> None:
    verdict = await judged(validator, source, "f")
    assert [(one.severity, one.rule) for one in verdict.findings] == [(Severity.ERROR, "entry-point-missing")]


async def test_an_overload_alone_defines_nothing(validator: Validator) -> None:
    verdict = await judged(
        validator, "export function f(a: string): void;\n", "f", language="ts", path="a.ts"
    )
    assert [one.rule for one in verdict.findings] == ["entry-point-missing"]


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        (b"let a = '\xff';\n", "text-encoding"),
        ("let a = '\u202e';\n", "text-bidi"),
        ("let a = 1;\0", "text-nul"),
        ("x" * 65_537, "text-too-large"),
    ],
)
async def test_the_text_gate_stands_before_every_language(
    validator: Validator, source: str | bytes, rule: str
) -> None:
    assert [one.rule for one in (await judged(validator, source)).findings] == [rule]


async def test_a_coding_line_is_pythons_affair(validator: Validator) -> None:
    assert (await judged(validator, "/*\n# coding: latin-1 */\nlet f;\n", "f")).passed


@pytest.mark.parametrize(
    "source",
    ["(" * 60_000, "{" * 60_000, '"' * 60_000, "f<T,(" * 12_000, "x=>" * 20_000 + "1", "-" * 60_000 + "1"],
    ids=["brackets", "braces", "quotes", "generics", "arrows", "minuses"],
)
async def test_a_text_made_to_hurt_the_parser_ends_in_a_verdict(validator: Validator, source: str) -> None:
    verdict = await judged(validator, source, "f", language="ts", path="a.ts")
    assert not verdict.passed
    assert {one.rule for one in verdict.findings} <= {
        "syntax-error",
        "cannot-be-parsed",
        "entry-point-missing",
    }


async def test_a_large_text_is_judged_like_a_small_one(validator: Validator) -> None:
    many = "".join(f"export function f{n}() {{ return {n}; }}\n" for n in range(900))
    assert len(many) > 32 * 1024
    assert (await judged(validator, many, "f0", "f899")).passed
    assert [one.rule for one in (await judged(validator, many, "f900")).findings] == ["entry-point-missing"]
    assert [one.line for one in (await judged(validator, many + "let = ;\n")).findings] == [901]


async def test_an_unknown_language_is_a_finding(validator: Validator) -> None:
    verdict = await judged(validator, "fn f() {}", "f", language="rust", path="a.rs")
    [finding] = verdict.findings
    assert (finding.severity, finding.rule) == (Severity.CRITICAL, "language-unknown")
    assert "rust" in finding.message
    assert KNOWN in finding.message


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("", "python"),
        ("Python", "python"),
        (" PY ", "python"),
        ("js", "javascript"),
        ("JavaScript", "javascript"),
        ("ts", "typescript"),
        ("TypeScript", "typescript"),
    ],
)
def test_languages_are_known_by_their_names_and_aliases(word: str, name: str) -> None:
    language = language_named(word)
    assert language is not None
    assert language.name == name


def test_what_is_not_tested_is_said_by_language() -> None:
    assert not_tested({"python": 3, "rust": 1}) == []
    assert not_tested({"typescript": 1, "js": 1, "javascript": 1, "python": 3}) == [
        "2 atoms in JavaScript: only their syntax is checked, their tests are not run",
        "1 atom in TypeScript: only its syntax is checked, its tests are not run",
    ]
