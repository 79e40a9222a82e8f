"""Who may import whom."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "m3fusion_sk"
EXTRAS = {
    "rasterio",
    "geopandas",
    "shapely",
    "matplotlib",
    "dask",
    "onnx",
    "spyndex",
    "jinja2",
    "markupsafe",
    "PIL",
}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path, top_only=False):
    """Absolute names of the modules that a file imports."""
    tree = ast.parse(path.read_text())
    package = module_name(path).split(".") + ([""] if path.name == "__init__.py" else [])
    names = set()
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def roots(path):
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", sorted((PACKAGE / "network").glob("*.py")), ids=lambda p: p.stem)
def test_the_network_knows_torch_only(path):
    allowed = {"skorch"} if path.stem == "net" else set()
    assert not roots(path) & {"sklearn", "rasterio", "geopandas", "pandas", "skorch"} - allowed


@pytest.mark.parametrize("path", sorted((PACKAGE / "mapping").glob("*.py")), ids=lambda p: p.stem)
def test_mapping_takes_any_estimator(path):
    assert not roots(path) & {"torch", "skorch"}
    assert not any(name.startswith("m3fusion_sk.network") for name in imported(path))


def test_only_mapping_and_functions_import_rasterio():
    for path in FILES:
        top = {name.split(".")[0] for name in imported(path, top_only=True)}
        if path.parent.name != "mapping":
            assert not top & EXTRAS, path.name


def test_there_are_no_import_cycles():
    modules = {module_name(path): path for path in FILES}
    edges = {
        name: {m for m in imported(path) if m in modules and m != name} for name, path in modules.items()
    }
    edges = {name: {m for m in found if not name.startswith(m + ".")} for name, found in edges.items()}
    state = {}

    def visit(name, trail):
        assert state.get(name) != "open", f"import cycle: {' -> '.join([*trail, name])}"
        if name not in state:
            state[name] = "open"
            for other in sorted(edges[name]):
                visit(other, [*trail, name])
            state[name] = "done"

    for name in modules:
        visit(name, [])


def test_files_stay_small():
    long = {path.name: len(path.read_text().splitlines()) for path in FILES}
    assert {name: n for name, n in long.items() if n > 350} == {}
