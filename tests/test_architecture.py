"""The house's drawing as a test: who may import whom, how large things grow, what every public thing says of itself."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("headwater", "models", "planning", "broker", "edge", "cloud_worker", "visualizer", "evaluation")
MAY_IMPORT: dict[str, set[str]] = {
    "headwater": set(),
    "models": set(),
    "planning": {"models"},
    "broker": {"headwater"},
    "edge": {"headwater", "models", "planning"},
    "cloud_worker": {"headwater", "models"},
    "visualizer": {"headwater", "models"},
    "evaluation": {"headwater", "models", "planning", "broker", "edge", "cloud_worker", "visualizer"},
}
HEAVY = {"tensorflow", "keras", "torch", "jax"}
HEAVY_ALLOWED = ("models/training/", "models/zoo/", "models/tensorflow_engine/", "evaluation/", "benchmarks/", "tests/")
RUNTIMES = {"ai_edge_litert", "tflite_runtime"}
LONGEST_MODULE, LONGEST_FUNCTION = 300, 45
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:work|farm|root)/|/home/[a-z]|\.\./shared")
# The tests, the continuous integration and the benchmarks may name the data they were measured with.
MAY_NAME_PATHS = ("tests/", ".ci/", "benchmarks/")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tracked() -> list[str]:
    """Return the files of the project, by their names from its root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Return each module of each part, with its syntax tree."""
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def imports(tree: ast.AST) -> Iterator[tuple[int, str, list[str]]]:
    """Return (line, module, names taken from it) of every import, also of those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "", [alias.name for alias in node.names]


def functions(tree: ast.AST) -> list[Function]:
    """Return every function and method."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def public(body: list[ast.stmt]) -> list[Function | ast.ClassDef]:
    """Return the functions and classes of a body whose names do not begin with an underscore."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [node for node in body if isinstance(node, kinds) and not node.name.startswith("_")]


def test_every_part_is_there() -> None:
    """All parts are packages, and no other folder of Python stands beside them."""
    folders = {Path(name).parts[0] for name in tracked() if name.endswith(".py") and "/" in name}
    assert set(PARTS) <= folders
    assert folders <= {*PARTS, "benchmarks", "tests", "docs", "examples", "requirements"}


def test_parts_import_only_what_they_may() -> None:
    """headwater and models import no part; the others import these two, never one another."""
    crossed = [
        f"{name}:{line}: {module}"
        for name, tree in modules()
        for line, module, _ in imports(tree)
        if (target := module.split(".")[0]) in {*PARTS, "benchmarks", "tests", "evaluation"}
        and target != (part := name.split("/")[0])
        and target not in MAY_IMPORT[part]
    ]
    assert crossed == []


def test_imports_are_absolute() -> None:
    """No relative import hides which part is meant."""
    relative = [
        f"{name}:{node.lineno}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_training_frameworks_stay_in_training() -> None:
    """TensorFlow, Keras and the like are imported for training, for conversion and by the engine for GPUs only."""
    heavy = [
        f"{name}:{line}: {module}"
        for name, tree in modules()
        if not name.startswith(HEAVY_ALLOWED)
        for line, module, _ in imports(tree)
        if module.split(".")[0] in HEAVY
    ]
    assert heavy == []


def test_one_place_asks_for_the_engine_of_tensorflow() -> None:
    """A worker that is told to; nothing else that runs on a device or in the cloud names it."""
    asking = {
        name
        for name, tree in modules()
        for _, module, _ in imports(tree)
        if module.startswith("models.tensorflow_engine") and not name.startswith(HEAVY_ALLOWED)
    }
    assert asking == {"cloud_worker/engines.py"}


def loaded_by(*names: str) -> set[str]:
    """Return the top-level packages that a new process has loaded after importing these modules."""
    code = f"""
import importlib, json, sys
for name in {names!r}:
    importlib.import_module(name)
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=100
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def all_modules(part: str) -> list[str]:
    """Return the names of all modules of a part, without those that are programs of their own."""
    found = pkgutil.walk_packages([str(ROOT / part)], prefix=f"{part}.")
    return [part, *(module.name for module in found if not module.name.endswith("__main__"))]


@pytest.mark.parametrize("part", ["headwater", "edge", "cloud_worker", "broker"])
def test_devices_and_workers_load_no_training_framework(part: str) -> None:
    """Importing every module of the part loads no TensorFlow."""
    assert loaded_by(*all_modules(part)).isdisjoint(HEAVY)


def test_the_site_loads_no_runtime() -> None:
    """Importing every module of the visualizer loads neither TensorFlow nor LiteRT."""
    assert loaded_by(*all_modules("visualizer")).isdisjoint(HEAVY | RUNTIMES)


def test_the_site_starts_without_numbers_and_models() -> None:
    """It is there sooner: who looks at the stages or sets a device brings them."""
    assert loaded_by("visualizer.server").isdisjoint({"numpy", "models"})


def test_the_command_line_loads_no_heavy_package() -> None:
    """The help of every command comes without numpy's heavy friends, the runtime, OpenCV or a web server."""
    commands = [name for part in PARTS for name in all_modules(part) if name.endswith("commands")]
    heavy = loaded_by("headwater.cli", *commands) & (HEAVY | RUNTIMES | {"cv2", "dash", "plotly", "flask", "fastapi"})
    assert heavy == set()


def test_public_things_say_what_they_are() -> None:
    """Every module, and every public class and function, has a docstring."""
    silent = [f"{name}: module" for name, tree in modules() if not ast.get_docstring(tree) and tree.body]
    for name, tree in modules():
        silent += [f"{name}:{node.lineno}: {node.name}" for node in public(tree.body) if not ast.get_docstring(node)]
    assert silent == []


def test_every_command_shows_an_example() -> None:
    """Each function that the command line names exists, and its help has an example that begins with `headwater`."""
    named = re.findall(r'"([a-z_.]+):([a-z_]+)"', (ROOT / "headwater/command_list.py").read_text())
    assert named
    without = [
        f"{module}:{command}"
        for module, command in named
        if not re.search(r"Examples?:\s+headwater ", docstring_of(ROOT / f"{module.replace('.', '/')}.py", command))
    ]
    assert without == []


def docstring_of(path: Path, name: str) -> str:
    """Return the docstring of a public function of a module, empty where there is none."""
    found = [node for node in public(ast.parse(path.read_text()).body) if node.name == name]
    return "".join(ast.get_docstring(node) or "" for node in found)


def test_modules_and_functions_stay_small() -> None:
    """No module over 300 lines, no function over 45."""
    large = []
    for name, tree in modules():
        lines = len((ROOT / name).read_text().splitlines())
        large += [f"{name}: {lines} lines"] if lines > LONGEST_MODULE else []
        for node in functions(tree):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            large += [f"{name}:{node.lineno}: {node.name} {length} lines"] if length > LONGEST_FUNCTION else []
    assert large == []


def test_private_names_stay_private() -> None:
    """No module takes another's name that begins with an underscore."""
    taken = [
        f"{name}:{line}: {module}.{private}"
        for name, tree in modules()
        for line, module, names in imports(tree)
        for private in [*module.split("."), *names]
        if private.startswith("_") and not private.startswith("__") and module.split(".")[0] in PARTS
    ]
    assert taken == []


def test_no_file_names_a_path_of_one_machine() -> None:
    """Whoever clones the project finds no path of somebody else's disk."""
    found = []
    for name in tracked():
        if name.startswith(MAY_NAME_PATHS):
            continue
        try:
            lines = (ROOT / name).read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{name}:{number}" for number, line in enumerate(lines, 1) if MACHINE_PATHS.search(line)]
    assert found == []


def test_the_changelog_begins_with_the_version_that_is_worked_towards() -> None:
    """What a build without git and tags calls itself, short of its .dev0, is the newest heading of CHANGELOG.md."""
    fallback = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools_scm"]["fallback_version"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert fallback == f"{newest[1]}.dev0"


def test_every_page_of_the_docs_is_listed() -> None:
    """docs/index.md leads to every page, and to no page that is not there."""
    listed = set(re.findall(r"\]\(([\w./-]+)\)", (ROOT / "docs/index.md").read_text()))
    pages = {name.removeprefix("docs/") for name in tracked() if re.fullmatch(r"docs/[^/]+\.(md|yaml)", name)}
    assert pages - {"index.md"} <= listed
    for page in listed:
        assert (ROOT / "docs" / page).exists(), page


def test_every_module_can_be_imported() -> None:
    """The parts that need no training framework import as a whole, with warnings as errors."""
    for part in PARTS:
        for name in all_modules(part):
            if not name.startswith(("models.training", "models.zoo", "models.tensorflow_engine", "evaluation")):
                assert importlib.import_module(name)


def test_links_between_the_pages_lead_somewhere() -> None:
    """Every relative link of a Markdown page leads to a file of the project."""
    broken = []
    for name in tracked():
        if name.endswith(".md"):
            text = (ROOT / name).read_text()
            targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)\s#]+)", text)
            broken += [f"{name}: {target}" for target in targets if not ((ROOT / name).parent / target).exists()]
    assert broken == []
