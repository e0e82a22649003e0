# SPDX-License-Identifier: Apache-2.0
"""A stage depends only on the stages after it: the order of crates and of Python packages."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.meta.repository import CRATES, PACKAGE, files

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

# A crate may depend on those after it, and on none beside it.
CRATE_ORDER = [
    ["bindings"],
    ["transport", "loadgen"],
    ["servables"],
    ["batching", "runtimes"],
    ["tensors"],
    ["protos"],
    ["log"],
]
PREFIX = "tensorserve-"

# The same for the packages of `tensorserve`.
PACKAGE_ORDER = [
    ["__main__"],
    ["cli"],
    ["__init__"],
    ["server", "export"],
    ["running", "inspect"],
    ["model_path"],
    ["loader_chain"],
    ["supervisor"],
    ["bench", "client", "engine", "listeners", "security"],
    ["data_plane"],
    ["services", "sources", "runtimes", "warmup", "routing", "request_log", "dashboard"],
    ["lifecycle"],  # The protocol of a loader is what a runtime implements.
    ["config"],
    ["protos"],
    ["types", "log", "socket_path", "given_sockets", "files"],
    ["loops"],
    ["errors"],
    ["_core"],
]


def ranks(order: list[list[str]]) -> dict[str, int]:
    return {name: rank for rank, names in enumerate(order) for name in names}


def crate_dependencies(crate: str) -> set[str]:
    manifest = tomllib.loads((CRATES / crate / "Cargo.toml").read_text())
    tables = [manifest.get(key, {}) for key in ("dependencies", "build-dependencies", "dev-dependencies")]
    names = (name for table in tables for name in table)
    return {name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)}


CRATE_NAMES = sorted(path.parent.name for path in CRATES.glob("*/Cargo.toml"))


def test_every_crate_has_a_place() -> None:
    assert set(CRATE_NAMES) <= set(ranks(CRATE_ORDER))
    assert len(CRATE_NAMES) >= 6


@pytest.mark.parametrize("crate", CRATE_NAMES)
def test_crate_depends_on_later_stages_only(crate: str) -> None:
    order = ranks(CRATE_ORDER)
    wrong = {other for other in crate_dependencies(crate) if order[other] <= order[crate]}
    assert wrong == set()


@pytest.mark.parametrize("crate", sorted(set(CRATE_NAMES) & {"servables", "batching", "runtimes", "tensors"}))
def test_crates_that_know_no_protocol(crate: str) -> None:
    manifest = tomllib.loads((CRATES / crate / "Cargo.toml").read_text())
    assert not set(manifest.get("dependencies", {})) & {
        "h2",
        "http",
        "http-body",
        "hyper",
        "hyper-util",
        "tonic",
        "axum",
    }


def imported_modules(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions and for type checkers only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            if node.module == "tensorserve":
                yield from (f"tensorserve.{name.name}" for name in node.names)


def unit(path: Path) -> str:
    """The package or top-level module that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def dependencies() -> Iterator[tuple[Path, str, str]]:
    """Every `(file, its unit, imported unit)` inside the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for module in imported_modules(path):
            parts = module.split(".")
            if parts[0] == "tensorserve" and len(parts) > 1 and parts[1] != unit(path):
                yield path, unit(path), parts[1]


def test_every_python_package_has_a_place() -> None:
    units = {unit(path) for path in PACKAGE.rglob("*.py")}
    assert units <= set(ranks(PACKAGE_ORDER))
    assert {"server", "lifecycle", "config", "errors"} <= units


def test_python_packages_import_later_stages_only() -> None:
    order = ranks(PACKAGE_ORDER)
    wrong = []
    for path, importer, imported in dependencies():
        if imported not in order:  # A name that `__init__` exports, such as `__version__`.
            imported = "__init__"
        if order[imported] <= order[importer]:
            wrong.append(f"{path.relative_to(PACKAGE)} imports {imported}")
    assert wrong == []


def test_lifecycle_imports_no_runtime_and_no_source() -> None:
    imported = {other for _path, importer, other in dependencies() if importer == "lifecycle"}
    assert imported <= {"types", "errors", "loops", "log"}


TENSORFLOW = ("tensorflow", "tensorflow_serving", "tensorflow_text", "keras", "tf_keras")


def test_no_other_package_imports_tensorflow() -> None:
    """Only `export` imports TensorFlow; elsewhere the library is opened by its path, and only runtime code names it."""
    wrong = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for module in imported_modules(path)
        if module.split(".")[0] in TENSORFLOW and unit(path) != "export"
    ]
    assert wrong == []


def test_export_imports_tensorflow_when_it_is_called() -> None:
    """Not when it is imported: the command line must print its help at once."""
    at_top = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in (PACKAGE / "export").rglob("*.py")
        for statement in ast.parse(path.read_text()).body
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for module in ([statement.module] if isinstance(statement, ast.ImportFrom) else map(str, statement.names))
        if str(module).split(".")[0] in TENSORFLOW
    ]
    assert at_top == []


def test_there_are_python_files() -> None:
    assert len(files(".py")) > 50
