"""The directions of the imports, as DESIGN gives them, and the weight of importing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import musicstyle

ROOT = Path(musicstyle.__file__).resolve().parent

# Which rooms a room may import. The base (the modules beside the rooms) is open to all and imports none of them.
MAY_IMPORT = {
    "base": set(),
    "music": set(),
    "model": set(),
    "corpus": {"music"},
    "training": {"corpus", "model"},
    "generation": {"music", "model"},
    "evaluation": {"music", "corpus", "model", "training", "generation"},
    "metavae": {"music", "corpus", "model", "training", "generation"},
    "cli": {"music", "corpus", "model", "training", "generation", "evaluation", "metavae"},
}

# Slow to import, so never at the top of a module: a verb that does not need them must not wait for them.
ONLY_INSIDE_FUNCTIONS = {
    "music21",
    "note_seq",
    "pretty_midi",
    "matplotlib",
    "librosa",
    "mir_eval",
    "symusic",
    "soundfile",
}

MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a module path below musicstyle: its folder, or the base."""
    return parts[0] if parts and parts[0] in MAY_IMPORT else "base"


def imported(tree: ast.AST, package: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Every module imported anywhere in the tree, as its dotted parts; `from a import b` counts as a and as a.b."""
    found: set[tuple[str, ...]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = above + tuple((node.module or "").split(".") if node.module else ())
            found |= {module} | {(*module, alias.name) for alias in node.names}
    return found


def at_import(tree: ast.Module) -> set[tuple[str, ...]]:
    """What is imported when the module is: all but the bodies of functions and of `if TYPE_CHECKING`."""
    run: list[ast.stmt] = []
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
            continue
        run += [node] if isinstance(node, ast.Import | ast.ImportFrom) else []
        waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return imported(ast.Module(run, []), ())


def parse(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def package_of(module: str) -> tuple[str, ...]:
    return ("musicstyle", *Path(module).parent.parts)


@pytest.mark.parametrize("module", MODULES)
def test_imports_keep_their_direction(module: str) -> None:
    if module in {"__init__.py", "__main__.py"}:
        return  # the front doors: public names for type checkers, and the command
    room = room_of(Path(module).parts)
    rooms = {
        room_of(name[1:])
        for name in imported(parse(module), package_of(module))
        if name[0] == "musicstyle" and name[1:]
    }
    assert rooms <= MAY_IMPORT[room] | {room, "base"}, f"{module} ({room}) imports from {rooms}"


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("music/")])
def test_music_never_imports_torch(module: str) -> None:
    assert not {
        name for name in imported(parse(module), package_of(module)) if name[0] in {"torch", "lightning_fabric"}
    }


@pytest.mark.parametrize("module", MODULES)
def test_slow_packages_wait_until_they_are_needed(module: str) -> None:
    assert not {name[0] for name in at_import(parse(module))} & ONLY_INSIDE_FUNCTIONS


@pytest.mark.parametrize("name", ["musicstyle", "musicstyle.cli"])
def test_the_door_is_light(name: str) -> None:
    heavy = ("torch", "note_seq", "numpy", "music21", "numba", "matplotlib", "lightning_fabric", "pretty_midi")
    code = f"import sys, {name}; print([heavy for heavy in {heavy!r} if heavy in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_public_names_come_when_asked_for() -> None:
    for name in musicstyle.__all__:
        assert getattr(musicstyle, name) is not None
    assert set(musicstyle.__all__) <= set(dir(musicstyle))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = musicstyle.nothing


def test_modules_do_not_import_in_circles() -> None:
    names = {("musicstyle", *Path(module).with_suffix("").parts): module for module in MODULES}
    graph = {
        name: {other for other in imported(parse(module), package_of(module)) & names.keys() if other != name}
        for name, module in names.items()
        if name[-1] not in {"__init__", "__main__"}
    }
    done: set[tuple[str, ...]] = set()
    while ready := {name for name in graph.keys() - done if graph[name] & graph.keys() <= done}:
        done |= ready
    assert not graph.keys() - done, f"these import each other: {sorted('.'.join(name) for name in graph.keys() - done)}"
