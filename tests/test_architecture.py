"""Rules about the code itself: what imports what, how big things are, what must be known in two places."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from app.adapters.places import CHECKOUT
from app.api.error_handlers import PROBLEMS
from app.errors import MoedError
from app.settings import Settings
from worker.tools.refusals import WORDS

LONGEST_FILE = 500
LONGEST_FUNCTION_P90 = 40
SOURCE_SUFFIXES = {".py", ".js", ".css", ".html", ".sh"}
NOT_OURS = {"__pycache__", "node_modules", "vendor"}

# Package -> what it may not import, and nothing inside it.
FORBIDDEN = {
    "app": {"worker", "asyncio"},
    "app.services": {"app.api", "app.voice", "app.dashboard", "werkzeug"},
    "app.models": {"app.services", "app.api", "app.voice", "app.dashboard"},
    "app.adapters": {"app.services", "app.models", "app.api", "app.voice", "app.dashboard"},
    "app.api": {"app.models", "sqlalchemy", "psycopg2"},
    "app.voice": {"app.models", "sqlalchemy", "psycopg2"},
    "app.dashboard": {"app.models", "sqlalchemy", "psycopg2"},
    "app.outbox": {"app.api", "app.voice", "app.dashboard", "app.models", "sqlalchemy", "psycopg2", "gevent"},
    "worker": {"app.api", "app.voice", "app.dashboard", "app.models", "sqlalchemy", "psycopg2", "asyncio"},
}
# Package -> all that it may import beside the standard library.
PURE = {
    "app.domain": {"app.domain", "app.errors"},
    "app.errors": {"app.domain"},
    "worker.call": {"worker.call", "app.domain", "app.errors"},
}
# Module -> the files that may import it.
ONLY_IN = {
    "geventwebsocket": {"worker/websocket.py"},
    "gevent.monkey": {"worker/green.py"},
}


def files_of(*tops: str) -> Iterator[Path]:
    """Our own files under these folders of the checkout (or these files), generated ones left out."""
    for top in tops:
        if (CHECKOUT / top).is_file():
            yield CHECKOUT / top
        for parent, folders, names in os.walk(CHECKOUT / top):
            folders[:] = [name for name in folders if name not in NOT_OURS and (name == ".ci" or name[0] != ".")]
            yield from (Path(parent) / name for name in names)


def modules_of(*tops: str) -> list[Path]:
    """The Python files among them."""
    return sorted(path for path in files_of(*tops) if path.suffix == ".py")


def shown(path: Path) -> str:
    """As a person would name it."""
    return path.relative_to(CHECKOUT).as_posix()


def module_name(path: Path) -> str:
    """`app.domain.spans` for app/domain/spans.py, `app.domain` for its __init__.py."""
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(name: str, package: str) -> bool:
    """Whether `name` is `package` or inside it."""
    return name == package or name.startswith(f"{package}.")


@cache
def tree_of(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text("utf-8"))


@cache
def imports_of(path: Path) -> set[str]:
    """Every module that `path` names in an import, anywhere; `from a import b` gives a and a.b."""
    return set(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(CHECKOUT).parent.parts[: None if node.level == 1 else 1 - node.level]
            base = ".".join([*(package if node.level else ()), *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def test_no_package_imports_what_its_arrows_forbid() -> None:
    """app never imports worker, services know no front door, front doors go through services."""
    broken = {
        f"{shown(path)} imports {imported}"
        for path in modules_of("app", "worker")
        for package, forbidden in FORBIDDEN.items()
        if within(module_name(path), package)
        for imported in imports_of(path)
        if any(within(imported, name) for name in forbidden)
    }
    assert not broken


@pytest.mark.parametrize("package", PURE)
def test_a_pure_package_imports_only_the_standard_library(package: str) -> None:
    """The call machine and the domain run without Flask, SQLAlchemy, gevent or a network."""
    inspected = [path for path in modules_of("app", "worker") if within(module_name(path), package)]
    broken = {
        f"{shown(path)} imports {imported}"
        for path in inspected
        for imported in imports_of(path)
        if imported.split(".")[0] not in sys.stdlib_module_names
        and not any(within(imported, allowed) for allowed in PURE[package])
    }
    assert inspected
    assert not broken


@pytest.mark.parametrize("module", ONLY_IN)
def test_a_dangerous_library_is_imported_in_one_place(module: str) -> None:
    """gevent-websocket is hardened where it is imported; patching happens once, before everything."""
    importers = {
        shown(path)
        for path in modules_of("app", "worker", "migrations", "wsgi.py")
        if any(within(imported, module) for imported in imports_of(path))
    }
    assert importers == ONLY_IN[module]


def test_the_environment_is_read_in_one_file() -> None:
    """A setting that is read elsewhere is neither checked nor documented."""
    names = {"environ", "environb", "getenv", "getenvb"}
    readers = {
        shown(path)
        for path in modules_of("app", "worker", "migrations", "wsgi.py")
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value) == "os")
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and names & {a.name for a in node.names})
    }
    assert readers == {"app/settings.py"}


def test_nothing_is_printed_outside_the_demo() -> None:
    """Processes log; only the demo talks to a person."""
    printing = {
        f"{shown(path)}:{node.lineno}"
        for path in modules_of("app", "worker")
        if not within(module_name(path), "worker.demo")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert not printing


def test_no_file_grows_past_its_limit() -> None:
    """A 16,000-line file is the reason for this project."""
    scripts = {path for path in files_of("bin", ".ci") if not path.suffix}
    sources = {path for path in files_of(".") if path.suffix in SOURCE_SUFFIXES} | scripts
    lengths = {shown(path): len(path.read_text("utf-8").splitlines()) for path in sources}
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_most_functions_are_short() -> None:
    """The 90th percentile of the functions' lengths."""
    lengths = sorted(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in modules_of("app", "worker")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef)
    )
    assert lengths[int(len(lengths) * 0.9)] <= LONGEST_FUNCTION_P90


def test_every_setting_stands_in_the_readme() -> None:
    """A row of its table for each field."""
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    documented = set(re.findall(r"^\|\s*`([A-Z0-9_]+)`", readme, re.MULTILINE))
    assert {item.name.upper() for item in fields(Settings)} - documented == set()


def _tree(root: type[MoedError]) -> Iterator[type[MoedError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


def test_every_error_is_rendered_twice() -> None:
    """Once as HTTP, once as words for the model; and neither knows an error that is not there."""
    errors = set(_tree(MoedError))
    assert set(PROBLEMS) == errors
    assert set(WORDS) == errors


def test_error_codes_are_distinct() -> None:
    """A program tells errors apart by their code."""
    codes = [error.code for error in _tree(MoedError)]
    assert len(codes) == len(set(codes))


def test_migrations_are_numbered_without_gaps() -> None:
    """0001, 0002, … in one line, each naming the one before it."""
    scripts = sorted((CHECKOUT / "migrations" / "versions").glob("*.py"))
    assert scripts
    for number, path in enumerate(scripts, 1):
        text = path.read_text("utf-8")
        parent = "None" if number == 1 else f'"{number - 1:04}"'
        assert re.fullmatch(rf"{number:04}_[a-z0-9_]+\.py", path.name)
        assert re.search(rf'^revision\b.*= "{number:04}"$', text, re.MULTILINE), path.name
        assert re.search(rf"^down_revision\b.*= {parent}$", text, re.MULTILINE), path.name


def _pins(name: str) -> set[str]:
    lines = (CHECKOUT / name).read_text("utf-8").splitlines()
    return {line.split()[0] for line in lines if re.match(r"[A-Za-z0-9]", line)}


def test_each_requirements_file_holds_the_smaller_one() -> None:
    """What is set up for tests serves for the demo, and the demo runs what production runs."""
    production, demo, dev = (_pins(f"requirements{kind}.txt") for kind in ("", "-demo", "-dev"))
    assert production
    assert production - demo == set()
    assert demo - dev == set()


def test_no_file_names_a_folder_of_one_machine() -> None:
    """What works only where it was written does not work."""
    machine = re.compile(r"(?<![\w.~-])/(?:work|root|home)/\w")
    naming = {
        shown(path)
        for path in files_of(".")
        if path.suffix not in {".png", ".wav", ".ico", ".woff2", ".gz"}
        and machine.search(path.read_text("utf-8", errors="replace"))
    }
    assert not naming
