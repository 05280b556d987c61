"""Break one line of a module in the ways in which a hand slips, each as a source of its own."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_CALCULATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
}
# From here on a number is a size or a wait, and one more of it is as good.
_LARGE = 100


@dataclass(frozen=True)
class Mutant:
    """A module with one line broken."""

    line: int
    what: str
    source: str
    span: range  # the lines of the statement
    at_import: bool  # whether it runs when the module is imported, and not in a function


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module, in the order of its lines.

    Left out is what harms nobody: docstrings, annotations, protocols, the options of records, what is
    logged, the texts of messages, and one more where a number is large or octal (a size, a wait, a mode).
    """
    tree = ast.parse(source)
    octal = {
        (number, column)
        for number, line in enumerate(source.splitlines(), 1)
        for column in (match.start() for match in re.finditer(r"\b0o", line))
    }
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    for index, node in enumerate(ast.walk(tree)):
        above = _above(node, parents)
        if any(_is_harmless(upper, lower) for lower, upper in zip([node, *above], above, strict=False)):
            continue
        if (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)) in octal:
            continue
        for number, what in enumerate(_ways(node)):
            broken = copy.deepcopy(tree)
            target = next(one for place, one in enumerate(ast.walk(broken)) if place == index)
            _break(broken, target, number)
            statement = next(one for one in (node, *above) if isinstance(one, ast.stmt))
            at_import = not any(
                isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) for one in above
            )
            yield Mutant(
                getattr(node, "lineno", 0),
                what,
                ast.unparse(ast.fix_missing_locations(broken)),
                _span(statement),
                at_import,
            )


def _above(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> list[ast.AST]:
    found = []
    while node in parents:
        node = parents[node]
        found.append(node)
    return found


def _is_harmless(upper: ast.AST, lower: ast.AST) -> bool:
    """Tell whether nothing below `lower`, a part of `upper`, is worth breaking."""
    match upper:
        case ast.arg() | ast.AnnAssign() if lower is upper.annotation:
            return True
        case ast.FunctionDef() | ast.AsyncFunctionDef() if lower is upper.returns:
            return True
        case ast.FunctionDef() if all(isinstance(one, ast.Expr) for one in upper.body) and ast.get_docstring(
            upper
        ):
            return True
        case ast.ClassDef() if lower in upper.decorator_list:
            return True
        case ast.Expr(value=ast.Call() as call) if _is_logging(call):
            return True
    return False


def _span(statement: ast.stmt) -> range:
    """Return the lines of a statement; of one that has others in it, those up to the first of them."""
    within = getattr(statement, "body", None)
    last = within[0].lineno - 1 if within else statement.end_lineno or statement.lineno
    return range(statement.lineno, max(last, statement.lineno) + 1)


def _ways(node: ast.AST) -> list[str]:
    """Return in which ways a node can be broken; `_break` takes their places in the list."""
    match node:
        case ast.Expr(value=ast.Call() as call) if not _is_logging(call):
            return [f"leave out {ast.unparse(call)[:60]}"]
        case ast.Expr(value=ast.Yield() | ast.Constant() | ast.Await()):
            return []
        case ast.Assign(targets=[ast.Attribute()]) | ast.AugAssign():
            return [f"leave out {ast.unparse(node)[:60]}"]
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            if ast.unparse(test) in ("TYPE_CHECKING", "True"):
                return []
            return [f"negate {ast.unparse(test)[:60]}"]
        case ast.Compare(ops=[op]):
            return [f"other comparison in {ast.unparse(node)[:60]}"] if type(op) in _COMPARED else []
        case ast.BoolOp():
            return [f"and for or in {ast.unparse(node)[:60]}"]
        case ast.BinOp(op=op) if type(op) in _CALCULATED and not _is_text(node):
            return [f"other operator in {ast.unparse(node)[:60]}"]
        case ast.Return(value=value) if value is not None and not _is_none(value):
            return [f"return nothing instead of {ast.unparse(value)[:60]}"]
        case ast.Constant(value=bool() as flag):
            return [f"{not flag} for {flag}"]
        case ast.Constant(value=int() as number) if number < _LARGE:
            return [f"{number + 1} for {number}"]
        case ast.Raise() | ast.Continue() | ast.Break():
            return [f"leave out {ast.unparse(node)[:60]}"]
    return []


def _is_logging(call: ast.Call) -> bool:
    return ast.unparse(call.func).startswith(("log.", "access."))


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _is_text(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return any(isinstance(side, ast.JoinedStr | ast.Constant) and not _is_number(side) for side in sides)


def _is_number(side: ast.expr) -> bool:
    return isinstance(side, ast.Constant) and isinstance(side.value, int | float)


def _break(tree: ast.Module, node: ast.AST, number: int) -> None:
    assert number == 0
    match node:
        case ast.If() | ast.While() | ast.IfExp():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.Compare(ops=[op]):
            node.ops = [_COMPARED[type(op)]()]
        case ast.BoolOp(op=boolean):
            node.op = ast.Or() if isinstance(boolean, ast.And) else ast.And()
        case ast.BinOp(op=operator):
            node.op = _CALCULATED[type(operator)]()
        case ast.Return():
            node.value = ast.Constant(None)
        case ast.Constant(value=bool() as flag):
            node.value = not flag
        case ast.Constant(value=int() as whole):
            node.value = whole + 1
        case _:
            _replace(tree, node, ast.Pass())


def _replace(tree: ast.Module, node: ast.AST, other: ast.stmt) -> None:
    for parent in ast.walk(tree):
        for _, value in ast.iter_fields(parent):
            if isinstance(value, list) and node in value:
                value[value.index(node)] = other
                return
