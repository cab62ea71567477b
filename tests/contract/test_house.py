"""The house keeps its own law: sizes, twins, floors, a light start."""

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "stocktake"
FILES = sorted(SOURCE.rglob("*.py"))
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
LONG_ONES = {"fit": 100}
"""The training loop must be read whole."""
MAX_PARAMETERS = 6


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def reachable(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions and methods others can call; not those inside a function or a hidden class."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    open_ones = [n for n in body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    inside = [node for one in open_ones for node in one.body]
    return [node for node in [*body, *inside] if isinstance(node, kinds)]


def name(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_file_outgrows_the_house(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_function_outgrows_a_screen(path: Path):
    for function in functions(path):
        lines = (function.end_lineno or 0) - function.lineno + 1
        allowed = LONG_ONES.get(function.name, MAX_FUNCTION_LINES)

        assert lines <= allowed, f"{path}:{function.lineno} {function.name} has {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_public_functions_of_some_size_say_what_you_get(path: Path):
    for function in reachable(path):
        lines = (function.end_lineno or 0) - function.lineno + 1
        if function.name.startswith("_") or lines <= 12:
            continue

        assert ast.get_docstring(function), f"{path}:{function.lineno} {function.name}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_source_file_of_some_size_has_its_twin(path: Path):
    if path.name == "__init__.py" or len(path.read_text(encoding="utf-8").splitlines()) <= 30:
        pytest.skip("too small to need one")
    inside = path.relative_to(SOURCE)
    twins = [
        ROOT / "tests" / room / inside.parent / f"test_{path.stem.lstrip('_')}.py"
        for room in ("unit", "conformance")
    ]

    assert any(twin.exists() for twin in twins), f"{inside} has no twin in tests/unit"


def test_names_of_places_stay_out_of_the_project():
    told = re.compile(r"(?<![\w.-])/(w[o]rk|root|home|tmp)/|\.\./shared|pythonh[o]sted")
    tracked = [*SOURCE.rglob("*.py"), *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    found = [str(path) for path in tracked if told.search(path.read_text(encoding="utf-8"))]

    assert found == []


def test_rooms_hold_only_a_sign_in_their_init():
    shelves = {"backbones", "heads", "losses", "augments", "optimizers", "schedules"}
    shelves |= {"samplers", "stoppers", "rules"}
    for path in SOURCE.rglob("__init__.py"):
        if path.parent.name in shelves or path.parent == SOURCE:
            continue
        body = ast.parse(path.read_text(encoding="utf-8")).body

        assert len(body) == 1, f"{path} holds more than its docstring"
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


HEAVY = ("torch", "timm", "boto3", "ray", "obstore", "pyarrow", "numpy", "onnxruntime", "optuna")


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from stocktake.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip().endswith("[]")


def test_serving_loads_no_torch():
    code = (
        "import sys, stocktake.serve.app, stocktake.serve.predictor, stocktake.stages.predict\n"
        "print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "False"


def test_help_answers_at_once():
    """A guard against an import slipped in: the figure itself is in bench/start.py."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "stocktake", "--help"], capture_output=True, check=True)

    assert time.monotonic() - started < 3
