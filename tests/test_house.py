"""The rules of docs/architecture.md on imports."""

import ast
from graphlib import TopologicalSorter

import pytest
from shared import ROOT

# The folders and modules of each part, which import only each other, and cli.
PARTS = [
    {"cli"},
    {"kuzu", "kuzu_main", "kuzushiji"},
    {"check", "check_main", "perceptron"},
    {"anb2n", "reber", "recurrent", "seq_models", "seq_plot", "seq_train"},
]
MAIN = {"kuzu_main", "check_main", "seq_train", "seq_plot"}
OURS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text("utf-8"))
    for pattern in ("*.py", *(f"{name}/*.py" for name in set().union(*PARTS)))
    for path in ROOT.glob(pattern)
    if path.name != "__init__.py"
}


def imports(tree: ast.AST) -> set[str]:
    """Return the modules that a part of a module imports, and the names imported from them."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


GRAPH = {name: imports(tree) & set(OURS) for name, tree in OURS.items()}


@pytest.mark.parametrize("name", sorted(GRAPH))
def test_a_module_imports_only_its_part_and_cli(name):
    (part,) = (part for part in PARTS if name.split(".")[0] in part)
    # seq_plot.py trains a missing network as seq_train.py does.
    allowed = {"cli"} | part - MAIN | ({"seq_train"} if name == "seq_plot" else set())
    assert {imported.split(".")[0] for imported in GRAPH[name]} <= allowed


def test_no_circle():
    tuple(TopologicalSorter(GRAPH).static_order())


def test_imports_are_at_the_top():
    nodes = [node for tree in OURS.values() for node in ast.walk(tree)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    found = {name.split(".")[0] for function in functions for name in imports(function)}
    # Slow imports that most runs do not need: a window, a proof by search.
    assert found == {"matplotlib", "scipy"}
