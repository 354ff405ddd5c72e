"""The rules of docs/architecture.md on imports."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from shared import ROOT, SCRIPTS

MODELS = {
    "kuzushiji": {"kuzu"},
    "perceptron": {"check"},
    "recurrent": {"seq_models", "anb2n", "reber"},
}
MODEL_OF = {model: folder for folder, models in MODELS.items() for model in models}
PART = {"kuzu_main": "kuzushiji", "check_main": "perceptron"}
PART |= {"seq_train": "recurrent", "seq_plot": "recurrent"}
OURS = {
    str(path.relative_to(ROOT).with_suffix("")).replace("/", "."): path
    for pattern in ("*.py", "cli/*.py", *(f"{folder}/*.py" for folder in MODELS))
    for path in ROOT.glob(pattern)
    if path.name != "__init__.py"
}


def imports(path: Path) -> set[str]:
    """Return the modules of this project that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & set(OURS)


GRAPH = {name: imports(path) for name, path in OURS.items()}


def allowed(name: str) -> set[str]:
    """Return the folders and models of this project that a module may import."""
    folder = name.split(".")[0]
    if folder == "cli":
        return {"cli"}
    part = folder if folder in MODELS else PART.get(name) or MODEL_OF[name]
    return {"cli", part, *MODELS[part]}


@pytest.mark.parametrize("name", GRAPH)
def test_a_module_imports_only_its_part_and_cli(name):
    for imported in GRAPH[name]:
        # seq_plot.py trains a missing checkpoint.
        assert imported not in SCRIPTS or (name, imported) == ("seq_plot", "seq_train")
        if imported not in SCRIPTS:
            assert imported.split(".")[0] in allowed(name), f"{name} imports {imported}"


def test_no_circle():
    tuple(TopologicalSorter(GRAPH).static_order())


def test_the_top_level_is_the_assignment():
    names = {path.stem for path in ROOT.glob("*.py")}
    assert names == {*SCRIPTS, *MODEL_OF}


def test_imports_are_at_the_top():
    inside = {
        f"{name}: {alias.name}"
        for name, path in OURS.items()
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    # Slow imports that most runs do not need: a window, a download, a proof by search.
    assert inside <= {
        "cli.files: pyplot",
        "cli.files: BackendFilter",
        "cli.files: backend_registry",
        "perceptron.dichotomies: linprog",
    }
