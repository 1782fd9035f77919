"""Expressions whose value stands in the tests' text, so that nobody has to run anything to know it. Pure."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import Any

_BUILDERS = {"dict": dict, "frozenset": frozenset, "list": list, "set": set, "tuple": tuple}
_FLOATS = {"inf", "+inf", "-inf", "nan", "infinity", "-infinity"}
_LARGEST = 10**18  # beyond it arithmetic could be made slow on purpose


class NotLiteral(ValueError):
    """The expression needs running."""


def literal_value(node: ast.expr, rebound: Collection[str] = ()) -> Any:
    """The value of a literal: a new object of exact built-in types, each time. Raises NotLiteral.

    Besides what `ast.literal_eval` takes: sums, differences, products and quotients of numbers, `set()`,
    `tuple([...])` and the like, `float("inf")`. `rebound` are names that the module gives another meaning.
    """
    try:
        return _value(node, rebound)
    except (ArithmeticError, RecursionError, TypeError, ValueError) as error:
        raise NotLiteral from error


def _value(node: ast.expr, rebound: Collection[str]) -> Any:
    match node:
        case ast.Constant(value=value) if value is not ...:
            return value
        case ast.List(elts=items):
            return [_value(item, rebound) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item, rebound) for item in items)
        case ast.Set(elts=items):
            return {_value(item, rebound) for item in items}
        case ast.Dict(keys=keys, values=values):
            return {
                _key(key, rebound): _value(value, rebound) for key, value in zip(keys, values, strict=True)
            }
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            number = _number(operand, rebound)
            return -number if isinstance(node.op, ast.USub) else +number
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right=right):
            return _calculated(node.op, _number(left, rebound), _number(right, rebound))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name not in rebound:
            return _built(name, arguments, rebound)
    raise NotLiteral


def _key(node: ast.expr | None, rebound: Collection[str]) -> Any:
    if node is None:  # {**other}
        raise NotLiteral
    return _value(node, rebound)


def _number(node: ast.expr, rebound: Collection[str]) -> Any:
    value = _value(node, rebound)
    if type(value) is complex or (type(value) in (int, float) and not abs(value) > _LARGEST):
        return value
    if isinstance(node, ast.Constant) and type(value) in (int, float):
        return value  # a large number as such: `-10**30` is none, `-1000…0` is
    raise NotLiteral


def _calculated(operator: ast.operator, left: Any, right: Any) -> Any:
    if max(abs(left), abs(right)) > _LARGEST:
        raise NotLiteral
    if isinstance(operator, ast.Add):
        return left + right
    if isinstance(operator, ast.Sub):
        return left - right
    return left * right if isinstance(operator, ast.Mult) else left / right


def _built(name: str, arguments: list[ast.expr], rebound: Collection[str]) -> Any:
    values = [_value(argument, rebound) for argument in arguments]
    if name == "float" and len(values) == 1 and type(values[0]) is str and values[0].lower() in _FLOATS:
        return float(values[0])
    if name in _BUILDERS and len(values) <= 1:
        return _BUILDERS[name](*values)
    raise NotLiteral
