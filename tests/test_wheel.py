"""What `make wheel-test` built, in the folder that M3FUSION_DIST names, agrees with the checkout."""

import email
import os
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from m3fusion_sk import __version__

ROOT = Path(__file__).parents[1]
DIST = os.environ.get("M3FUSION_DIST")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
built = pytest.mark.skipif(
    not DIST, reason="M3FUSION_DIST does not name a folder with a wheel: make wheel-test"
)


def tracked(*paths):
    listed = subprocess.run(
        ["git", "ls-files", *paths], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return set(listed.split())


def wheel():
    (path,) = Path(DIST).glob("*.whl")
    return zipfile.ZipFile(path)


def metadata():
    with wheel() as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def requirements(texts, extra=None):
    """Requirements without markers, as text."""
    return {(extra, str(Requirement(text.split(";")[0].strip()))) for text in texts}


@built
def test_the_metadata_of_the_wheel_are_those_of_the_checkout():
    found = metadata()
    assert found["Name"].replace("-", "_") == PROJECT["name"]
    assert found["Version"] == __version__
    assert found["Summary"] == PROJECT["description"]
    assert found["Requires-Python"] == PROJECT["requires-python"]
    assert found["License-Expression"] == PROJECT["license"]
    assert set(found.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    assert found.get_payload(decode=True).decode().strip() == (ROOT / "README.md").read_text().strip()


@built
def test_the_wheel_asks_for_what_the_checkout_asks_for():
    expected = requirements(PROJECT["dependencies"])
    for extra, texts in PROJECT["optional-dependencies"].items():
        expected |= requirements(texts, extra)
    found = set()
    for text in metadata().get_all("Requires-Dist"):
        requirement = Requirement(text)
        extra = str(requirement.marker).split('"')[1] if requirement.marker else None
        requirement.marker = None
        found.add((extra, str(requirement)))
    assert {(e, t.replace("_", "-")) for e, t in found} == {(e, t.replace("_", "-")) for e, t in expected}


@built
def test_the_wheel_holds_the_package_and_nothing_else():
    with wheel() as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == tracked("m3fusion_sk")
        assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())


@built
def test_the_sdist_holds_what_is_tracked():
    (path,) = Path(DIST).glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert tracked() - {".ci/run", ".gitignore"} <= names
    assert not [name for name in names if name.startswith(("docs/_build", "docs/gallery", ".venv", "demo"))]


def test_the_citation_names_this_version_and_licence():
    text = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {__version__}\n" in text
    assert f"\nlicense: {PROJECT['license']}\n" in text


def test_the_pins_hold_every_requirement():
    pins = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    texts = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        texts += extra
    names = {Requirement(text).name.lower().replace("_", "-") for text in texts} - {"m3fusion-sk"}
    assert names <= pins, f"constraints.txt lacks {sorted(names - pins)}"
