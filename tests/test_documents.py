"""README and documentation say what is so: their code runs, their commands, files and names exist."""

import re
from pathlib import Path

import pytest

import m3fusion_sk
from m3fusion_sk import mapping

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")], key=lambda path: path.name
)
EXAMPLES = {path.stem for path in (ROOT / "examples").glob("*.py")}
BY_NAME = {"ids": lambda path: path.name}


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def with_python():
    return [path for path in PAGES if blocks(path, "python")]


@pytest.mark.parametrize("path", with_python(), **BY_NAME)
def test_the_python_blocks_of_a_page_run_one_after_the_other(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in blocks(path, "python"):
        exec(compile(block, path.name, "exec"), namespace)
    maps = {"README.md": "map.tif", "start.md": "first_map.tif", "maps.md": "network_map.tif"}
    if path.name in maps:  # by names of their own, as they are read one after the other
        assert (tmp_path / maps[path.name]).stat().st_size > 500


def test_every_fence_has_a_language_that_something_looks_at():
    known = {"python", "console", "{toctree}", "{include}", "{benchmark}", "{literalinclude}"}
    for path in PAGES:
        opened = re.findall(r"^```(\S*).*$", path.read_text(), re.MULTILINE)[::2]
        assert set(opened) <= known, path.name


def commands():
    text = "\n".join(block for path in PAGES for block in blocks(path, "console"))
    return text + "\n" + "\n".join(re.findall(r"`((?:make|pip|python) [^`]+)`", "".join(map(read, PAGES))))


def read(path):
    return path.read_text()


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)", commands()))
    assert {"demo", "test", "docs"} <= named <= targets


def test_every_extra_that_is_named_exists():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"\[([a-z,]+)\]\"", commands())
    assert named
    assert {extra for names in named for extra in names.split(",")} <= set(extras)


def test_every_script_of_a_command_exists():
    for script in re.findall(r"python (\S+\.py)", commands()):
        assert (ROOT / script).exists(), script


@pytest.mark.parametrize("path", PAGES, **BY_NAME)
def test_links_lead_to_files_or_pages_and_to_headings_that_are_there(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"[a-z]+:", target):
            continue  # elsewhere: not looked at without a network
        name, _, heading = target.partition("#")
        if name.startswith("gallery/"):
            assert name.removeprefix("gallery/") in EXAMPLES | {"index"}, target
            continue
        found = (
            [path.parent / name, path.parent / f"{name}.md", path.parent / f"{name}.rst"] if name else [path]
        )
        found = [place for place in found if place.exists()]
        assert found, f"{path.name}: {target}"
        assert not heading or heading in anchors(found[0]), f"{path.name}: {target}"


def anchors(path):
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_files_that_the_readme_names_in_code_exist():
    named = re.findall(r"`([\w/]+\.(?:py|md|txt|toml))`", (ROOT / "README.md").read_text())
    assert named
    for name in named:
        places = [ROOT / name, ROOT / "m3fusion_sk" / name]
        assert any(place.exists() for place in places), name


def public():
    """Every public name, by the module that offers it."""
    import importlib
    import pkgutil

    for module in [m3fusion_sk, mapping]:
        yield from ((module.__name__, name) for name in module.__all__)
    for info in pkgutil.iter_modules(m3fusion_sk.__path__):
        module = importlib.import_module(f"m3fusion_sk.{info.name}")
        if info.name in OFFERED:
            yield from ((module.__name__, name) for name in module.__all__)


OFFERED = (  # modules that users import from, beside the package and `mapping`
    ["areas", "calibration", "explain", "metrics", "plotting", "protocol", "reference", "report", "synthetic"]
)


def test_the_reference_lists_every_public_name():
    listed, module = set(), None
    for line in (ROOT / "docs" / "api.rst").read_text().splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split(":: ")[1]
        elif re.fullmatch(r"   \w+", line):
            listed.add((module, line.strip()))
    at_the_top = {name for module, name in listed if module == "m3fusion_sk"}
    missing = {
        (module, name)
        for module, name in public()
        if (module, name) not in listed and name not in at_the_top and name != "__version__"
    }
    assert not missing, f"docs/api.rst lacks {sorted(missing)}"


def test_measured_tables_of_the_readme_stand_in_the_benchmarks():
    text = (ROOT / "README.md").read_text()
    part = re.search(r"<!-- measured -->(.*?)<!-- /measured -->", text, re.DOTALL)[1]
    rows = [line for line in part.splitlines() if re.match(r"\| (forest|network|ours|RBF|random)", line)]
    measured = (ROOT / "benchmarks" / "README.md").read_text()
    assert len(rows) >= 4
    for row in rows:
        assert row in measured, f"copy the row anew from benchmarks/README.md: {row}"
