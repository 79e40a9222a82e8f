"""The README says what is so: its code runs, its commands exist, its messages are met."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_blocks_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    assert len(blocks("python")) >= 3
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), namespace)
    assert (tmp_path / "map.tif").exists()


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(
        re.findall(
            r"make ([a-z-]+)",
            "\n".join(blocks("console")) + " ".join(re.findall(r"`(make [a-z-]+)`", README)),
        )
    )
    assert {"demo", "test"} <= named <= targets


def test_files_that_the_readme_names_exist():
    named = re.findall(r"\]\(([^)#:]+)\)", README)
    assert named
    for path in named:
        assert (ROOT / path).exists(), path


def test_the_faq_quotes_the_message_of_a_dict_in_a_splitter():
    from sklearn.model_selection import train_test_split

    from m3fusion_sk import make_land_cover

    X, y, _ = make_land_cover(60, n_dates=3, n_bands=2, patch_size=5, random_state=0)
    with pytest.raises(ValueError, match="inconsistent numbers of samples") as caught:
        train_test_split({name: X[name] for name in X.names}, y)
    assert f"### {caught.value}" in README.replace("`", "")
