"""The packages of nvc_jax: which package may import which, what each says of itself, and what is public."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import nvc_jax

PACKAGE = Path(nvc_jax.__file__).parent
MAY_IMPORT = {
    "core": "",
    "native": "core",
    "io": "core",
    "peers": "core",
    "transform": "core native",
    "entropy": "core native",
    "lattice": "core native entropy",
    "training": "core",
    "chunks": "core native io entropy lattice",
    "spectral": "core native io transform entropy training chunks",
    "autoencoder": "core native io entropy training chunks",
    "models": "core io training spectral autoencoder",
    "container": "core native io chunks models",
    "compression": "core native io chunks models container",
    "evaluation": "core native io chunks container",
    "napari": "core io container compression",
    "xarray": "core io compression",
    "viewer": "core io chunks container compression",
    "reporting": "core io container evaluation peers",
    "comparison": "core io chunks models container compression peers",
    "cli": ("core io peers training models container compression evaluation viewer reporting comparison"),
}
"""Packages, from the ground up, and those of ours that each may import."""
MAX_LINES = 280
MAX_FUNCTION_LINES = 60
RIDDLES = ("What", "How", "Where", "Which", "Whether", "Who", "Whatever")
NAMED_TUPLE = ("_asdict", "_fields", "_make", "_replace")
"""Public methods of named tuples, whose names begin with an underscore only so that no field has them."""
SEVERAL_PACKAGES = ("benchmarks", "format", "integration")
"""Folders of tests that each run several packages together, or what is outside of the package."""
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)
ROOT = Path(__file__).parents[1]
OUTSIDE = sorted(path for name in ("tests", "benchmarks", "fuzz") for path in (ROOT / name).rglob("*.py"))
"""Files of tests, benchmarks and fuzzing."""


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(module: Path) -> str:
    return ".".join(module.relative_to(PACKAGE).with_suffix("").parts)


def imports_of(module: Path) -> Iterator[str]:
    """Dotted names, below nvc_jax, that a module imports, by either form of import."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(module)} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.removeprefix("nvc_jax.") for name in names if name.split(".")[0] == "nvc_jax")


def test_the_table_names_every_package_from_the_ground_up() -> None:
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert packages == MAY_IMPORT.keys()
    seen: set[str] = set()
    for package, allowed in MAY_IMPORT.items():
        assert set(allowed.split()) <= seen
        seen.add(package)
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_modules_import_only_from_packages_below() -> None:
    for module in MODULES:
        package = module.relative_to(PACKAGE).parts[0]
        allowed = {package, "__version__", *MAY_IMPORT[package].split()}
        for imported in imports_of(module):
            assert imported.split(".")[0] in allowed, f"{name_of(module)} imports {imported}"


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name_of(module): set(imports_of(module)) for module in MODULES if module.stem != "__init__"}
    edges = {
        name: {target for target in graph if any(i == target or i.startswith(f"{target}.") for i in imported)}
        for name, imported in graph.items()
    }
    while edges:
        free = {name for name, targets in edges.items() if not targets & edges.keys()}
        assert free, f"a cycle among {sorted(edges)}"
        edges = {name: targets for name, targets in edges.items() if name not in free}


def path_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def docstrings_of(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield getattr(node, "name", path.name), docstring


def test_every_module_has_a_docstring() -> None:
    assert [name_of(module) for module in MODULES if not ast.get_docstring(tree_of(module))] == []


def test_docstrings_open_with_a_verb_or_a_noun() -> None:
    for path in MODULES + OUTSIDE:
        for name, docstring in docstrings_of(path):
            assert docstring.split()[0] not in RIDDLES, (path_of(path), name)


def test_modules_and_functions_are_short() -> None:
    for module in MODULES:
        assert len(module.read_text().splitlines()) <= MAX_LINES, path_of(module)
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                n_lines = (node.end_lineno or 0) - first.lineno
                assert n_lines < MAX_FUNCTION_LINES, (path_of(module), node.name)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_say_what_is_in_them(package: str) -> None:
    docstring = ast.get_docstring(ast.parse((PACKAGE / package / "__init__.py").read_text())) or ""
    assert len(re.findall(r"[.:](?:\s|$)", docstring)) >= 3, (
        "what is in it, how to read it, what it may not know"
    )
    modules = [p.stem for p in (PACKAGE / package).glob("*.py") if p.stem != "__init__"]
    assert not [name for name in modules if not re.search(rf"\b{name}\b", docstring)]


def test_only_the_registry_tells_kinds_of_models_apart() -> None:
    configs = r"(?:Model|Spectral|Dense|Convolutional)Config"
    for module in MODULES:
        if module.parent.name != "models":
            assert not re.search(rf"isinstance\([^)]*{configs}", module.read_text()), name_of(module)


def test_public_names_are_there_and_documented() -> None:
    assert {
        *("load_codec", "Codec", "encode_volume", "decode_volume", "compress", "decompress", "open", "train"),
        *("evaluate", "verify", "info", "preview", "extract_blocks", "assemble_blocks"),
    } <= set(nvc_jax.__all__)
    for name in nvc_jax.__all__:
        value = getattr(nvc_jax, name)
        assert name == "__version__" or (value.__doc__ or "").strip(), name
    assert (PACKAGE / "py.typed").is_file()
    for name in ("extract_blocks", "assemble_blocks"):
        assert "paper" in getattr(nvc_jax, name).__doc__


def private_names_used(path: Path) -> list[str]:
    """List names with a leading underscore that a file takes from the package, and patches of any module."""
    names = []
    tree = tree_of(path)
    modules = {
        alias.asname or alias.name.split(".")[-1]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "nvc_jax"
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "nvc_jax":
            names += [alias.name for alias in node.names if alias.name.startswith("_")]
        if isinstance(node, ast.ImportFrom | ast.Import):
            imported = [f"{getattr(node, 'module', '')}.{alias.name}" for alias in node.names]
            names += [name for name in imported if "mock" in name.split(".")]
        if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr):
            root = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if (
                isinstance(root, ast.Name)
                and root.id in modules | {"nvc_jax"}
                and node.attr not in NAMED_TUPLE
            ):
                names.append(node.attr)
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ("setattr", "patch")
            and isinstance(node.value, ast.Name)
        ):
            names.append(f"{node.value.id}.{node.attr}")
    return names


def test_nothing_outside_reaches_into_the_package() -> None:
    for path in OUTSIDE:
        assert private_names_used(path) == [], path_of(path)


def test_tests_mirror_the_packages() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.relative_to(ROOT / "tests").parent
        if folder.parts and folder.parts[0] not in SEVERAL_PACKAGES:
            module = PACKAGE / folder / f"{path.stem.removeprefix('test_')}.py"
            assert module.is_file(), f"{path.relative_to(ROOT)} tests no module"
