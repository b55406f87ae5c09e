"""Counts a source tree by room: lines, code, names with docstrings, and what is too long.

    python benchmarks/house.py src/finesight                      # one tree
    python benchmarks/house.py OLD/src/finesight src/finesight    # before and after, with ratios

Lines are those of every *.py file. Code is what is left of them without blanks, comments and
docstrings (strings that stand alone, those of attributes too). Public names are functions, classes
and methods without an underscore before their name or their class's. The length of a function goes
from `def` to its last line, docstring included; of parameters `self` does not count. Commands of
Typer may have many parameters, as these are their options; their length is that of what follows
their options and help text. A tree's tests are looked for beside its `src`.
"""

import argparse
import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

FILE_LINES, FUNCTION_LINES, PARAMETERS = 350, 60, 8
"""What a file, a function and the signature of a public function have at most."""

AS_BEFORE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "records, errors, files": (
        ("types.py", "errors.py", "__init__.py", "__main__.py"),
        ("types.py", "errors.py", "boxes.py", "files.py", "__init__.py", "__main__.py"),
    ),
    "images": (
        ("images.py", "large_images.py", "raw_previews.py", "archives.py", "drawing.py"),
        ("images",),
    ),
    "encoders, proposals, models": (
        ("encoders", "looking", "regions", "fusion", "matching", "models"),
        ("encoders", "proposals", "fusion", "matching", "models", "graphs.py"),
    ),
    "queries": (("queries",), ("queries",)),
    "collection": (
        ("collection", "scoring.py", "rank_fusion.py", "relevance.py"),
        ("annotations", "store", "indexing", "search", "scoring", "collection.py"),
    ),
    "server, client": (("server",), ("server", "client")),
    "cli": (("cli",), ("cli",)),
    "research": (
        ("datasets", "scenes", "networks", "evaluation", "captioning", "training", "metrics.py"),
        ("research",),
    ),
}
"""What became of the rooms of version 0.1.0: (old rooms, new rooms) by what they hold."""

NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
COMMAND = re.compile(r"\btyper\.|\b\w+(Option|Argument)\b|\.command\(")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Counts:
    """What is counted of a file or of a room; sums of rooms are made with +."""

    files: int = 0
    lines: int = 0
    code: int = 0
    names: int = 0
    described: int = 0
    docstring_lines: int = 0
    too_long: list[str] = field(default_factory=list)
    """What is over a limit: "file: 400 lines", "file:name: 70 lines", "file:name: 9 parameters"."""
    commands: list[str] = field(default_factory=list)
    """Commands of Typer with more parameters than that."""

    def __add__(self, other: "Counts") -> "Counts":
        names = [each.name for each in fields(self)]
        return Counts(*(getattr(self, name) + getattr(other, name) for name in names))


def count_file(path: Path, name: str) -> Counts:
    """Count one file; name: what it is called in lists."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    found = Counts(1, text.count("\n"), code_lines(text, tree))
    if found.lines > FILE_LINES:
        found.too_long.append(f"{name}: {found.lines} lines")
    for place, node in public(tree):
        described = ast.get_docstring(node, clean=False)
        found.names += 1
        if described is not None:
            found.described += 1
            found.docstring_lines += described.count("\n") + 1
        if isinstance(node, Function) and (count := parameters(node)) > PARAMETERS:
            listed = found.commands if is_command(node) else found.too_long
            listed.append(f"{name}:{place}: {count} parameters")
    for place, node in functions(tree):
        if (length := function_lines(node)) > FUNCTION_LINES:
            found.too_long.append(f"{name}:{place}: {length} lines")
    return found


def code_lines(text: str, tree: ast.Module) -> int:
    """Return how many lines hold code: not blank, no comment, no docstring."""
    strings = {
        number
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - strings)


def public(tree: ast.Module) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Yield the public functions and classes of a module, and the methods of these classes."""
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield node.name, node
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, Function) and not method.name.startswith("_"):
                    yield f"{node.name}.{method.name}", method


def functions(tree: ast.AST, before: str = "") -> Iterator[tuple[str, Function]]:
    """Yield all functions of a tree by their qualified names, those inside of others too."""
    for node in ast.iter_child_nodes(tree):
        named = isinstance(node, Function | ast.ClassDef)
        place = f"{before}{node.name}" if isinstance(node, Function | ast.ClassDef) else before
        if isinstance(node, Function):
            yield place, node
        yield from functions(node, f"{place}." if named else before)


def function_lines(function: Function) -> int:
    """Return how long a function is; of a command, without its options and its help text."""
    start = function.lineno
    if is_command(function):
        start = function.body[ast.get_docstring(function) is not None].lineno
    return (function.end_lineno or start) - start + 1


def parameters(function: Function) -> int:
    """Return how many parameters a function has, without self and cls."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    names = [each.arg for each in named if each is not None]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def is_command(function: Function) -> bool:
    """Whether a function's parameters are the options of a command of Typer."""
    written = [ast.unparse(each) for each in (function.args, *function.decorator_list)]
    return any(COMMAND.search(each) for each in written)


def count_tree(folder: Path) -> dict[str, Counts]:
    """Count a tree by room: its folders, and the files that stand beside them."""
    rooms: dict[str, Counts] = {}
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder)
        rooms[name.parts[0]] = rooms.get(name.parts[0], Counts()) + count_file(path, str(name))
    return rooms


def total(rooms: Iterable[Counts]) -> Counts:
    """Return the sum of rooms."""
    return sum(rooms, Counts())


HEAD = f"{'':<28}{'files':>7}{'lines':>9}{'code':>9}{'names':>8}{'described':>11}{'lines/name':>12}"


def row(name: str, found: Counts) -> str:
    """Return one line of a table."""
    share = f"{100 * found.described / found.names:.0f} %" if found.names else ""
    each = f"{found.docstring_lines / found.names:.2f}" if found.names else ""
    return (
        f"{name:<28}{found.files:>7}{found.lines:>9,}{found.code:>9,}{found.names:>8,}"
        f"{share:>11}{each:>12}"
    )


def block(title: str, rooms: dict[str, Counts]) -> list[str]:
    """Return the table of a tree: its folders, then what stands beside them."""
    folders = {name: found for name, found in rooms.items() if not name.endswith(".py")}
    beside = {name: found for name, found in rooms.items() if name.endswith(".py")}
    lines = [title, HEAD]
    lines += [row(f"  {name}/", found) for name, found in folders.items()]
    lines += [row(f"  {name}", found) for name, found in beside.items()]
    return [*lines, row("  all", total(rooms.values())), ""]


def change(name: str, old: Counts, new: Counts) -> str:
    """Return a line of before, after and their ratio, of lines and of code."""
    numbers = ((old.lines, new.lines), (old.code, new.code))
    columns = (f"{a:>11,}{b:>9,}{f'{b / a:.3f}' if a else '':>8}" for a, b in numbers)
    return f"{name:<28}" + "".join(columns)


def compared(old: dict[str, Counts], new: dict[str, Counts]) -> list[str]:
    """Return the table of what became of the old rooms."""
    lines = ["What became of the old rooms", f"{'':<28}{'lines':>11}{'now':>9}{'ratio':>8}"]
    lines[-1] += f"{'code':>11}{'now':>9}{'ratio':>8}"
    left_old, left_new = set(old), set(new)
    for name, (before, after) in AS_BEFORE.items():
        one = total(old[room] for room in before if room in old)
        other = total(new[room] for room in after if room in new)
        lines.append(change(f"  {name}", one, other))
        left_old.difference_update(before)
        left_new.difference_update(after)
    if left_old or left_new:
        one, other = total(old[r] for r in left_old), total(new[r] for r in left_new)
        lines.append(change(f"  {', '.join(sorted(left_old | left_new))}", one, other))
    return [*lines, change("  all", total(old.values()), total(new.values())), ""]


def limits(title: str, found: Counts) -> list[str]:
    """Return what of a tree is over a limit."""
    lines = [
        f"{title}: {len(found.too_long)} over a limit (files {FILE_LINES} lines, functions "
        f"{FUNCTION_LINES} lines, public functions {PARAMETERS} parameters)"
    ]
    lines += [f"  {line}" for line in found.too_long]
    if found.commands:
        lines.append(f"  commands, whose parameters are their options: {len(found.commands)}")
        lines += [f"    {line}" for line in found.commands]
    return [*lines, ""]


def report(trees: list[Path]) -> str:
    """Return the tables of one tree, or of an old one beside a new one."""
    titles = ["before", "after"] if len(trees) == 2 else [""] * len(trees)
    counted = [count_tree(tree) for tree in trees]
    tests = [total(count_tree(tests_of(tree)).values()) for tree in trees]
    lines: list[str] = []
    for title, rooms in zip(titles, counted, strict=True):
        lines += block(f"src/finesight {title}".strip(), rooms)
    if len(trees) == 2:
        lines += compared(*counted)
    lines += ["tests", HEAD]
    lines += [row(f"  {title or 'all'}", found) for title, found in zip(titles, tests, strict=True)]
    if len(trees) == 2:
        lines.append(change("  before, after, ratio", *tests))
    lines.append("")
    for title, rooms in zip(titles, counted, strict=True):
        lines += limits(f"src/finesight {title}".strip(), total(rooms.values()))
    return "\n".join(lines)


def tests_of(tree: Path) -> Path:
    """Return the folder of the tests of src/finesight."""
    return tree.resolve().parents[1] / "tests"


def main() -> None:
    """Count the trees that are named and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trees", type=Path, nargs="+", metavar="TREE", help="such as src/finesight")
    given = parser.parse_args()
    if len(given.trees) > 2:
        parser.error("name one tree, or an old one and a new one")
    for tree in given.trees:
        if not any(tree.glob("*.py")):
            parser.error(f"{tree} holds no Python files: name a tree such as src/finesight")
    print(report(given.trees), end="")


if __name__ == "__main__":
    main()
