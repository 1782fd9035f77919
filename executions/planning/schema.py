"""The shape of a masterplan document: its keys and their types, as pydantic models and as JSON Schema."""

from __future__ import annotations

import keyword
import unicodedata
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails

from executions.languages import KNOWN, PYTHON, language_named
from executions.planning.places import Place, ProblemList, quoted
from executions.planning.specs import MAX_ATOMS, MAX_NAME_LENGTH, MAX_TEXT_BYTES

KNOWN_BUT_UNUSED = {"$schema", "format", "key", "licence", "license", "origin", "source_id", "verified"}
"""Keys that say where a plan comes from; the product has no use for them and does not complain."""


def _given(value: object) -> object:
    return "" if value is None else value


def _listed(value: object) -> list[object]:
    """None as no item, one value as a list of it."""
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def _within_size(text: str) -> str:
    if len(text) > MAX_TEXT_BYTES or len(text.encode(errors="replace")) > MAX_TEXT_BYTES:
        raise ValueError(f"is larger than {MAX_TEXT_BYTES // 1024} kB")
    return text


def _key(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be printable text without spaces around it")
    return text


def _one_line(text: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text):
        raise ValueError("must be one line without control characters")
    return text


def _identifier(name: str, info: ValidationInfo) -> str:
    # The language stands before; where it is unknown, that is what is told.
    language = language_named(info.data.get("language", "python")) or PYTHON
    word = name if language is PYTHON else name.replace("$", "_")
    if not word.isidentifier() or (language is PYTHON and keyword.iskeyword(name)):
        raise ValueError(f"{quoted(name)} is not a name that {language.title} code can define")
    return name


def _language(word: str) -> str:
    """The one name of a language that has several."""
    language = language_named(word)
    if language is None:
        raise ValueError(f"{quoted(word)} is not known here; known are {KNOWN}")
    return language.name


def _tests_of(value: object) -> object:
    """A pytest module, an object around one, or a list of either."""
    return [{"tests": item} if isinstance(item, str) else item for item in _listed(value)]


NULLABLE_TEXT = {"type": ["string", "null"], "maxLength": MAX_TEXT_BYTES}
Text = Annotated[str, BeforeValidator(_given), AfterValidator(_within_size), WithJsonSchema(NULLABLE_TEXT)]
Name = Annotated[str, Field(max_length=MAX_NAME_LENGTH), AfterValidator(_one_line)]
Title = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH), AfterValidator(_one_line)]
Key = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH), AfterValidator(_key)]
Keys = Annotated[list[str], BeforeValidator(_listed)]
EntryPoints = Annotated[
    list[Annotated[str, AfterValidator(_identifier)]],
    BeforeValidator(_listed),
    WithJsonSchema({"type": ["string", "null", "array"], "items": {"type": "string"}}),
]
TESTS_SCHEMA = {
    "type": ["string", "object"],
    "required": ["tests"],
    "properties": {"tests": {"type": "string"}},
}
Settings = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]


class Shape(BaseModel):
    """Types are taken as they are (no "3" for 3); unknown keys are accepted, and told as warnings."""

    model_config = ConfigDict(strict=True, extra="allow")


class AtomShape(Shape):
    """A small unit of code to be generated."""

    model_config = ConfigDict(title="Atom")

    key: Key = Field(description="Names the atom within its plan.")
    name: Annotated[Name, BeforeValidator(_given)] = Field("", description="For people; the key if left out.")
    description: Text = Field("", description="What the generator is told.")
    language: Annotated[str, BeforeValidator(_given), AfterValidator(_language)] = Field(
        "python", description=f"One of {KNOWN}. Tests are run in Python only."
    )
    entry_point: EntryPoints = Field(default=[], description="Name or names that the target file defines.")
    signature: Text = Field("", description="Checked where it parses as def or class; prompt text otherwise.")
    contract: Text = Field("", description="More to keep to, such as the outline of a class.")
    prompt: Text = Field("", description="More for the generator, such as the header with its docstring.")
    tests: Text = Field("", description="One pytest module that imports from the project's root.")
    hidden_tests: Text = Field("", description="As tests, but never shown to the generator nor exported.")
    target_path: str = Field(description="The file to write, relative to the project's root, with / in it.")
    depends_on: Keys = Field(default=[], description="Keys of atoms that must have succeeded before.")
    instructions: Text = Field("", description="Shown to the generator for this atom only.")
    approval: bool = Field(default=False, description="A person must agree before the atom starts.")
    reference_solution: object = Field(None, description="Accepted and never kept.")


class TestsShape(Shape):
    """A pytest module."""

    model_config = ConfigDict(title="Tests")

    tests: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_BYTES), AfterValidator(_within_size)]


class WaveTestsShape(TestsShape):
    """A pytest module that is run after a wave."""

    model_config = ConfigDict(title="Wave tests")

    wave: int = Field(ge=1, description="Number of the wave, from 1.")


class PlanShape(Shape):
    """A named set of atoms; each atom's own shape is checked apart, so that a bad one hides no other."""

    model_config = ConfigDict(title="Masterplan")

    name: Title
    description: Text = ""
    instructions: Text = Field("", description="Shown to the generator for every atom.")
    atoms: list[Any] = Field(max_length=MAX_ATOMS)
    requires: Annotated[list[Title], BeforeValidator(_listed)] = Field(
        default=[], description="Packages that the generated code may use."
    )
    wave_tests: Annotated[list[WaveTestsShape], BeforeValidator(_listed)] = []
    acceptance_tests: Annotated[
        list[TestsShape],
        BeforeValidator(_tests_of),
        WithJsonSchema({"type": ["string", "array"], "items": TESTS_SCHEMA}),
    ] = Field(default=[], description="Pytest modules for the whole project.")
    approvals: Annotated[list[Annotated[int, Field(ge=1)]], BeforeValidator(_listed)] = Field(
        default=[], description="Numbers of waves that wait for a person."
    )
    defaults: Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)] = (
        Field(default={}, description="Settings of executions of this plan, as in run_masterplan --set.")
    )


ShapeT = TypeVar("ShapeT", bound=Shape)

EXPECTED = {
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "bool_type": "true or false",
    "int_type": "a whole number",
}
"""What pydantic's types of error miss, in the words of a masterplan's author."""


def shaped(shape: type[ShapeT], value: object, place: Place, problems: ProblemList) -> ShapeT | None:
    """The value in this shape; None, and every reason in `problems`, when it has another one."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            problems.add((*place, *found["loc"]), _said(found))
        return None


def _said(error: ErrorDetails) -> str:
    kind, message, limits = error["type"], error["msg"], error.get("ctx", {})
    if kind in EXPECTED:
        return f"must be {EXPECTED[kind]}, not {_kind_of(error['input'])}"
    match kind:
        case "missing":
            return "is missing"
        case "value_error":
            return str(limits["error"])
        case "string_too_short":
            return "must not be empty"
        case "string_too_long":
            return f"is longer than {limits['max_length']} characters"
        case "too_long":
            return f"has more than {limits['max_length']:,} items"
        case "greater_than_equal":
            return f"must be {limits['ge']} or more"
        case _:
            return message


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"


def unused_keys(shape: Shape) -> list[str]:
    """Keys of the document that nothing reads, but for those known to be harmless."""
    return [key for key in shape.model_extra or () if key not in KNOWN_BUT_UNUSED]


def json_schema() -> dict[str, object]:
    """The JSON Schema of a masterplan file. What it cannot say, such as cycles, is checked at import."""
    plan, atom = PlanShape.model_json_schema(), AtomShape.model_json_schema()
    definitions = {**plan.pop("$defs", {}), **atom.pop("$defs", {}), "Atom": atom, "Masterplan": plan}
    plan["properties"]["atoms"]["items"] = {"$ref": "#/$defs/Atom"}
    several = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Masterplan"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Masterplan file",
        "description": "One masterplan, or several under the key masterplans. Unknown keys are accepted.",
        "anyOf": [
            {"$ref": "#/$defs/Masterplan"},
            {"type": "object", "required": ["masterplans"], "properties": {"masterplans": several}},
        ],
        "$defs": definitions,
    }
