"""The rules of docs/architecture.md on imports."""

import ast
from graphlib import TopologicalSorter

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
    """Return the modules that a module imports, and the names imported from them."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


GRAPH = {name: imports(tree) & set(OURS) for name, tree in OURS.items()}


def test_a_module_imports_only_its_part_and_cli():
    for name, imported in GRAPH.items():
        (part,) = (part for part in PARTS if name.split(".")[0] in part)
        # seq_plot.py trains a missing network as seq_train.py does.
        allowed = {"cli"} | part - MAIN | ({"seq_train"} if name == "seq_plot" else set())
        assert {module.split(".")[0] for module in imported} <= allowed, name


def test_no_circle():
    tuple(TopologicalSorter(GRAPH).static_order())
