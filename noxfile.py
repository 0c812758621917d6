"""The one list of developers' tasks; `nox --list` shows it.

Without arguments the quick checks run, each in an environment of its own. `scripts/test` runs the same checks inside
`.venv` (`--no-venv`), where `scripts/install --tests` has put every tool. What follows `--` goes to the tool.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13"]
PLUGINS = sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml"))
PROJECT = nox.project.load_toml("pyproject.toml")

nox.needs_version = ">=2026.10"
nox.options.error_on_missing_interpreters = False  # CI too runs what the machine has
nox.options.reuse_venv = "yes"


def show_pyenv_versions() -> None:
    """Let pyenv's shims, which know only the chosen versions, find every installed Python."""
    versions = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    installed = sorted(path.name for path in versions.glob("3.*") if path.name.rpartition(".")[0] in PYTHONS)
    if installed:
        os.environ.setdefault("PYENV_VERSION", ":".join(installed))


show_pyenv_versions()


def prepare(session: nox.Session, *groups: str, plugins: list[str] | None = None) -> None:
    """Install the workspace (all plugins unless named) and dependency groups, unless the session runs in `.venv`."""
    if not session.virtualenv.is_sandboxed:
        return
    requirements = nox.project.dependency_groups(PROJECT, *groups)
    editable = [".", *(f"plugins/{name}" for name in (PLUGINS if plugins is None else plugins))]
    session.install(*requirements, *(part for path in editable for part in ("--editable", path)))


@nox.session
def lint(session: nox.Session) -> None:
    """Style, likely bugs and formatting: ruff, over everything."""
    if session.virtualenv.is_sandboxed:
        session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", "--output-format", "concise", *session.posargs)
    session.run("ruff", "format", "--check", "--output-format", "concise")


@nox.session
def types(session: nox.Session) -> None:
    """Types of sources, tests and tools: mypy, strict."""
    prepare(session, "types")
    session.run("mypy", *session.posargs)


@nox.session
def imports(session: nox.Session) -> None:
    """The direction of imports: import-linter, with the floors of .importlinter."""
    prepare(session, "imports")
    session.run("lint-imports", "--no-logo", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/; a link that leads nowhere fails."""
    if session.virtualenv.is_sandboxed:
        session.install(*nox.project.dependency_groups(PROJECT, "docs"))
    session.run("zensical", "build", "--clean", "--strict", *session.posargs)


@nox.session(python=PYTHONS, default=False)
def tests(session: nox.Session) -> None:
    """Every test, on each Python that is installed: the workspace editable, warnings as errors."""
    prepare(session, "test", "nox")
    session.run("pytest", *session.posargs)


@nox.session(default=False)
@nox.parametrize("plugin", PLUGINS, ids=PLUGINS)
def plugin(session: nox.Session, plugin: str) -> None:
    """One plugin's tests, in an environment with the core and no other plugin: it must not lean on its neighbours."""
    prepare(session, "test", plugins=[plugin])
    session.run("pytest", f"plugins/{plugin}", *session.posargs)


@nox.session(default=False, reuse_venv=False)
def wheels(session: nox.Session) -> None:
    """Build every wheel from a clean copy; serve a repository with those of core and Git alone, then with all of them."""
    built = build_wheels(session)
    check = str(ROOT / "scripts/check_wheels.py")
    session.install(*(wheel for wheel in built if Path(wheel).name.startswith(("enopax_core-", "enopax_git-"))))
    session.run("python", check)
    session.install(*built)
    session.run("python", check, str(ROOT))


@nox.session(default=False, reuse_venv=False)
def e2e(session: nox.Session) -> None:
    """The acceptance tests against installed wheels instead of the tree: what an operator gets with pip."""
    session.install(*build_wheels(session), *nox.project.dependency_groups(PROJECT, "test"))
    session.run("pytest", "tests/acceptance", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Run the benchmarks, or those named after `--`; each prints what it measured."""
    prepare(session, "test")
    for script in session.posargs or sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("benchmarks/bench_*.py")):
        session.run("python", script)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Every test under coverage, child processes included; the lines that nothing ran are printed."""
    prepare(session, "test", "nox")
    if session.virtualenv.is_sandboxed:
        session.install("coverage>=7.10")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs, success_codes=[0, 1])
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


def build_wheels(session: nox.Session) -> list[str]:
    """Build the wheels of core and plugins from a copy without what tools leave behind; return their paths."""
    copy = Path(session.create_tmp()) / "clean"
    shutil.rmtree(copy, ignore_errors=True)
    leftovers = shutil.ignore_patterns("__pycache__", "*.egg-info", "dist", "build", ".*_cache")
    for folder in ("src", "plugins"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=leftovers)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy2(ROOT / file, copy)
    projects = [str(copy), *(str(copy / "plugins" / name) for name in PLUGINS)]
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(copy / "dist"), *projects)
    return sorted(str(path) for path in copy.glob("dist/*.whl"))
