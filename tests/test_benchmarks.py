"""The benchmarks run on the real data, small; they skip where M3FUSION_DATA is unset."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import rasterio
from scipy import stats

from m3fusion_sk import M3FusionClassifier, make_land_cover

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
needs_data = pytest.mark.skipif(
    not os.environ.get("M3FUSION_DATA"), reason="M3FUSION_DATA is unset: the real data are not there"
)


def test_a_virtual_scene_is_mapped_and_its_memory_told(tmp_path):
    (tmp_path / "map_speed.py").write_text((BENCHMARKS / "map_speed.py").read_text())
    command = [sys.executable, "map_speed.py", "memory", "--megapixels", "0.002"]
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS)}
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    assert "| 47x42 | 0." in result.stdout
    assert (tmp_path / "output" / "virtual_47x42.tif").exists()


def test_the_study_of_missing_data_prints_both_tables():
    command = [sys.executable, str(BENCHMARKS / "missing_data.py")]
    command += ["--seeds", "1", "--samples", "300", "--epochs", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split(" | ") for line in result.stdout.splitlines()]
    assert {"| patch: lost", "| without ts 50%", "| mask 80%", "| fill 0%"} <= {row[0] for row in rows}
    assert all(0 <= float(row[1]) <= 100 for row in rows if row[0].startswith(("| without", "| fill")))


@pytest.fixture(scope="module")
def datasets():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import datasets

        yield datasets
    finally:
        sys.path.remove(str(BENCHMARKS))


def paper_table(*arguments):
    command = [sys.executable, str(BENCHMARKS / "paper_table.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_data
def test_idtrees_are_split_by_plot_group_and_vote_by_crown(datasets):
    data = datasets.idtrees(5)
    assert data.X.specs["hsi"].shape == (41, 9)
    assert data.X.specs["rgb"].shape == (3, 25, 25)
    assert len(np.unique(data.y)) == 10
    for train, test in data.cv.split(data.X, data.y, data.groups):
        assert not set(data.groups[train]) & set(data.groups[test])
        assert not set(data.objects[train]) & set(data.objects[test])


@needs_data
def test_lpis_has_three_series_on_their_own_calendars_without_gaps(datasets):
    data = datasets.lpis(2)
    assert {name: spec.shape for name, spec in data.X.specs.items()} == {
        "s2_10m": (118, 4),
        "s2_20m": (118, 6),
        "s1": (159, 2),
    }
    assert np.isfinite(np.asarray(data.X)).all()
    assert set(data.y) == {11, 13, 60}


@needs_data
def test_the_table_of_real_rasters_is_printed_and_not_computed_twice(tmp_path):
    arguments = ("--data", "lpis", "--splits", 1, "--epochs", 1, "--output", tmp_path)
    first = paper_table(*arguments)
    assert first.returncode == 0, first.stderr
    for row in ("forest  s2_10m", "network s2_20m", "network s1", "network all"):
        assert row in first.stdout
    assert first.stdout.count("lpis split 0:") == 8
    assert paper_table(*arguments).stdout.count("lpis split 0:") == 0


@needs_data
def test_a_plot_that_was_not_trained_on_is_mapped(datasets, tmp_path):
    from m3fusion_sk import M3FusionClassifier
    from m3fusion_sk.mapping import ChunkedPredictor

    data = datasets.idtrees(5)
    scene = datasets.idtrees_scene(datasets.data_folder("idtrees_mlbs"), "MLBS_1")
    rows = np.flatnonzero(data.groups != "MLBS_1")[::20]
    network = M3FusionClassifier(hidden_size=8, n_filters=2, max_epochs=1, random_state=0)
    network.fit(data.X[rows], data.y[rows])
    with rasterio.open(ChunkedPredictor(network).predict(scene, tmp_path / "taxa.tif")) as taxa:
        assert taxa.shape == (20, 20)
        assert taxa.read(1).min() >= 1


def test_missing_data_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("M3FUSION_DATA", str(tmp_path))
    result = paper_table("--data", "idtrees")
    assert result.returncode != 0
    assert "no folder 'idtrees_mlbs' in M3FUSION_DATA" in result.stderr


@pytest.fixture(scope="module")
def study():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import accuracy
        import baselines
        import comparison

        yield SimpleNamespace(accuracy=accuracy, baselines=baselines, comparison=comparison)
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_the_papers_recipe_trains_as_long_as_it_is_given(study, monkeypatch):
    from m3fusion_sk import M3FusionClassifier, make_land_cover

    clock = iter(range(100))  # an epoch takes one second
    monkeypatch.setattr(study.accuracy.time, "process_time", lambda: next(clock))
    X, y, _ = make_land_cover(60, n_dates=4, n_bands=2, patch_size=7, random_state=0)
    settings = {**study.accuracy.SMALL, "hidden_size": 4, "n_filters": 2, "random_state": 0}
    for seconds, expected in {0: 1, 2.4: 2, 2.6: 3}.items():
        clf, chosen = study.accuracy.fit_for(seconds, M3FusionClassifier(**settings), X, y)
        assert chosen == {"max_epochs": expected}
        whole = M3FusionClassifier(**{**settings, "max_epochs": expected}).fit(X, y)
        np.testing.assert_array_equal(clf.predict_proba(X), whole.predict_proba(X))


def test_the_corrected_test_is_the_paired_one_where_the_training_sets_do_not_overlap(study):
    first, second = np.random.default_rng(0).normal(0.9, 0.02, (2, 6))
    expected = stats.ttest_rel(first, second).pvalue
    assert study.comparison.corrected_t_test(first, second, 0.0) == pytest.approx(expected)
    assert study.comparison.corrected_t_test(first, second, 0.25) > expected
    assert study.comparison.corrected_t_test(first, first, 0.25) == 1.0


def test_tuning_samples_are_spread_over_all_objects(study):
    groups = np.repeat(["large", "middle", "small"], [500, 50, 5])
    rows = study.baselines.spread(groups, 60, seed=0)
    assert len(np.unique(rows)) == 60
    assert [int((groups[rows] == name).sum()) for name in ("large", "middle", "small")] == pytest.approx(
        [28, 27, 5], abs=1
    )
    assert len(study.baselines.spread(groups, 10_000, seed=0)) == 555


def test_every_recipe_of_the_studies_can_be_fitted_with(study):
    X, y, _ = make_land_cover(60, n_dates=3, n_bands=2, patch_size=5, random_state=0)
    for settings in (*study.accuracy.RECIPES.values(), study.accuracy.SMALL):
        network = M3FusionClassifier(**{**settings, "max_epochs": 1}, random_state=0).fit(X, y)
        assert np.isfinite(network.predict_proba(X)).all()


@needs_data
def test_the_accuracy_study_goes_on_where_it_stopped(tmp_path):
    def accuracy(*models):
        command = [sys.executable, str(BENCHMARKS / "accuracy.py"), "--data", "rondonia", "--models", *models]
        options = ["--study", "baselines", "--output", str(tmp_path)]
        result = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert accuracy("logistic regression").startswith("5 fits to run")
    assert accuracy("logistic regression").startswith("All rows are there")
    out = accuracy("logistic regression", "pca + logistic regression")
    assert out.startswith("5 fits to run")
    table = out[out.index("### rondonia") :]
    assert table.count("logistic regression | 5 |") == 2
    rows = pd.read_csv(tmp_path / "accuracy.csv")
    assert (rows["accuracy"] > 0.8).all() and len(rows) == 10
    assert rows.groupby("fold")["n_test"].nunique().eq(1).all()  # the same folds for both


def test_one_command_knows_all_studies_and_makes_all_tables_and_figures(study, tmp_path):
    results = BENCHMARKS / "results" / "accuracy.csv"
    command = [sys.executable, str(BENCHMARKS / "accuracy.py"), "--tables", "--known", str(results)]
    result = subprocess.run(
        [*command, "--output", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    headings = [line[3:] for line in result.stdout.splitlines() if line.startswith("## ")]
    assert headings == list(study.accuracy.STUDIES)
    assert all((tmp_path / f"{name}.md").is_file() for name in headings)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["learning.png", "time.png"]


def test_figures_have_a_panel_for_each_set_and_one_legend(study, tmp_path, monkeypatch):
    figures, comparison = [], study.comparison
    monkeypatch.setattr(comparison.pyplot, "close", figures.append)
    rows = [
        {"data": data, "model": model, "objects": n, "n_objects": n or 30.5, "accuracy": s, "fit_seconds": s}
        for data in ("made", "lpis", "eolearn")
        for model, s in (("ours", 0.9), ("rbf svm", 0.5))
        for n in (5, None)
    ]
    comparison.draw(pd.DataFrame(rows), tmp_path, learning=True)
    comparison.draw(pd.DataFrame(rows), tmp_path, learning=False)
    for figure in figures:
        assert [ax.get_title() for ax in figure.axes] == ["eolearn", "lpis", "made", "", "", ""]
        legends = [ax.get_legend() for ax in figure.axes]
        assert [text.get_text() for text in legends.pop(3).get_texts()] == ["ours", "rbf svm"]
        assert not any(legends)
    assert figures[0].axes[0].lines[0].get_xdata().tolist() == [5, 30]
    assert figures[1].axes[0].get_xlabel() == "seconds to fit"
    comparison.draw(pd.DataFrame(rows[:-2]), tmp_path, learning=False)  # one set lacks a model
    assert [ax.get_legend() is not None for ax in figures[2].axes] == [True] * 3 + [False] * 3


def test_hours_of_what_was_not_timed_are_the_mean_of_its_set(study, tmp_path, monkeypatch):
    of, rows = study.accuracy, tmp_path / "rows.csv"
    timed = [of.Task("made", 0, of.OURS, 0), of.Task("made", 0, "rbf svm", 0)]
    seconds = {"fit_seconds": [3000.0, 600.0], "predict_seconds": [600.0, 3000.0]}
    pd.DataFrame(timed).assign(**seconds).to_csv(rows, index=False)
    monkeypatch.setattr(study.comparison, "MEASURED", rows)
    todo = [of.Task("made", 1, of.OURS, 1), of.Task("made", 0, "extra trees", 0)]
    assert study.comparison.estimate(todo, jobs=2).startswith(
        "2 fits to run, about 1.0 hours with 2 at a time (1 not timed before, by the mean of their set)."
    )
    assert study.comparison.estimate([], jobs=1) == "All rows are there: nothing to run."


def test_the_summary_has_folds_seeds_and_the_test_against_the_best_baseline(study):
    accuracies = {"ours": [0.9, 0.8, 0.85], "random forest": [0.7, 0.6, 0.5], "extra trees": [0.8, 0.7, 0.75]}
    same = {"n_train": 4, "n_test": 1, "fit_seconds": 2.0, "predict_seconds": 0.25, "megabytes": 10.4}
    rows = pd.DataFrame(
        [
            {"data": "made", "model": model, "fold": fold, "seed": seed, **same}
            | dict.fromkeys(study.comparison.SCORES, score + 0.02 * (seed - (model == "ours")))
            for model, scores in accuracies.items()
            for fold, score in enumerate(scores)
            for seed in (range(3) if model == "ours" else [0])
        ]
    )
    table = study.comparison.summary(rows).set_index("model")
    assert table.index.tolist() == ["ours", "extra trees", "random forest"]
    assert table.loc["ours", ["accuracy", "kappa", "± seeds"]].tolist() == [*["0.850 ± 0.050"] * 2, "0.020"]
    assert table["first fold"].tolist() == ["0.900", "0.800", "0.700"]
    assert table["p"].tolist() == ["0.000", "best baseline", ""]  # the same difference in every fold
    assert table.loc["ours", ["folds", "fit s", "MB"]].tolist() == [3, "2.0", "10"]
    less = rows.query("model != 'ours' or fold < 2").replace({"data": {"made": "rondonia"}})
    table = study.comparison.summary(less).set_index("model")
    assert (table.loc["ours", ["folds", "p", "object vote"]] == [2, "", ""]).all()  # folds are missing


def test_changes_are_compared_fit_by_fit(study):
    rows = [
        {
            **{"data": data, "fold": fold, "seed": fold, "model": model, "n_train": 4, "n_test": 1},
            "accuracy": 0.5 + 0.1 * fold + gain * (1 + (fold - 1) * (data == "made")),
        }
        for data, gains in {"made": (0.0, 0.02), "lpis": (0.0, -0.01)}.items()
        for fold in range(3)
        for model, gain in zip(("ours", "with more"), gains, strict=True)
    ]
    table = study.comparison.changes(pd.DataFrame(rows), "accuracy").set_index("model")
    assert table.loc["with more", ["lpis", "made", "mean"]].tolist() == ["-1.0", "+2.0", "+0.5"]
    error = np.sqrt(np.var([0, 2, 4], ddof=1) * (1 / 3 + 1 / 4)) / 2  # lpis adds nothing: all its folds agree
    assert table.loc["with more", "error"] == f"{error:.1f}"
    half_made = pd.DataFrame(rows).query("data == 'lpis' or model == 'ours'")
    assert study.comparison.changes(half_made, "accuracy")["mean"].tolist() == [""]  # not of all sets
    rows = pd.DataFrame(rows).assign(f1_macro=0.5, fit_seconds=2.0, predict_seconds=0.1)
    tables = study.comparison.change_tables(rows, "ablation")
    table = tables["ablation: accuracy, in points"].set_index("model")
    assert table.index.tolist() == ["ours (the defaults)", "with more"]
    assert table.loc["with more", ["mean", "macro F", "seconds to fit"]].tolist() == ["+0.5", "+0.0", "2"]
    assert table.iloc[0].tolist() == [*[""] * 5, "2"]
    assert tables["ablation: macro F, in points"].loc[0, ["lpis", "made"]].tolist() == ["+0.0"] * 2


def test_costs_are_means_over_the_sets_that_all_models_have(study):
    zeros = {"f1_macro": 0.0, "fit_seconds": 1.0, "predict_seconds": 0.0}
    rows = [("made", "ours", 0.9), ("made", "gru", 0.8), ("lpis", "ours", 0.1)]
    table = pd.DataFrame([{"data": d, "model": m, "accuracy": a, **zeros} for d, m, a in rows])
    assert study.comparison.costs(table).set_index("model")["accuracy"].to_dict() == {"gru": 0.8, "ours": 0.9}


def test_rows_that_were_measured_elsewhere_are_taken_over(study, tmp_path):
    of, measured = study.accuracy, BENCHMARKS / "results" / "accuracy.csv"
    of.take_over(measured, tmp_path)
    rows, known = of.rows_in(tmp_path).fillna(np.nan), pd.read_csv(measured)
    keys = list(of.Task._fields)
    rows, known = (
        study.comparison.with_numbers(table).sort_values(keys).reset_index(drop=True)
        for table in (rows, known)
    )
    pd.testing.assert_frame_equal(rows[known.columns], known, check_dtype=False)
    for task in (of.tasks(["made"], [of.OURS], fits)[0] for fits in (of.PAIRS, of.ALL_FITS)):
        assert (tmp_path / task.data / f"{task.stem}.json").exists()  # where the study looks for it


def test_rows_of_all_studies_are_taken_over_to_names_of_their_own(study, tmp_path):
    of = study.accuracy
    wanted = [
        of.Task("made", 0, of.OURS, 0),
        of.Task("made", 0, of.OURS, 0, objects=5),
        of.Task("made", 0, of.OURS, 0, inner=0),
    ]
    pd.DataFrame(wanted).assign(accuracy=0.5).to_csv(tmp_path / "rows.csv", index=False)
    of.take_over(tmp_path / "rows.csv", tmp_path / "output")
    for task in wanted:
        row = json.loads((tmp_path / "output" / "made" / f"{task.stem}.json").read_text())
        assert of.Task(*(row[name] for name in of.Task._fields)) == task
    pd.DataFrame(wanted).drop(columns="inner").head(1).to_csv(tmp_path / "old.csv", index=False)
    of.take_over(tmp_path / "old.csv", tmp_path / "older")  # of before there were inner folds
    assert (tmp_path / "older" / "made" / f"{wanted[0].stem}.json").exists()


@needs_data
@pytest.mark.parametrize("name", ["rondonia", "lpis"])
def test_studies_that_choose_score_no_test_object_of_the_first_fold(study, tmp_path, name):
    of = study.accuracy
    work = of.Study(name, tmp_path)
    outer = np.unique(work.data.groups[work.folds[0][1]])
    assert of.fits_of("ablation") == of.fits_of("encoders") == of.INNER
    tested = []
    for task in of.tasks([name], [of.OURS], of.INNER):
        train, test = (np.unique(work.data.groups[side]) for side in work.sides(task))
        assert not set(train) & set(test)
        assert not (set(train) | set(test)) & set(outer)
        tested.extend(test)
    assert sorted(tested) == sorted(np.unique(work.data.groups[work.folds[0][0]]))  # each once


def test_other_models_have_one_seed_and_the_changes_three_pairs(study):
    of = study.accuracy
    assert len(of.tasks(["made"], [of.OURS, "rbf svm"], of.ALL_FITS)) == 15 + 5
    pairs = of.tasks(["made"], [of.OURS, "rbf svm"], of.PAIRS)
    assert [(task.fold, task.seed) for task in pairs] == [(0, 0), (1, 1), (2, 2), (0, 0), (1, 0), (2, 0)]


def test_few_objects_are_a_part_of_more_and_of_all_classes(study):
    objects = np.repeat(np.arange(12), 5)
    y = np.repeat(["crop", "crop", "crop", "crop", "forest", "forest", "water", "water"] + ["crop"] * 4, 5)
    rows = {n: set(study.accuracy.few(objects, y, n, seed=1)) for n in (3, 5, 9)}
    assert rows[3] < rows[5] < rows[9]
    assert all(len(rows[n]) == 5 * n for n in rows)  # whole objects
    assert set(y[list(rows[3])]) == {"crop", "forest", "water"}
    assert study.accuracy.few(objects, y, 12, seed=1) is None  # that is all of them
    assert study.accuracy.few(objects, y, None, seed=1) is None


def test_two_training_objects_are_enough_to_tune(study):
    X, y, groups = make_land_cover(200, n_dates=3, n_bands=2, patch_size=5, random_state=0)
    first = np.isin(groups, np.unique(groups)[:2])
    fitted, chosen = study.baselines.tuned("logistic regression", X[first], y[first], groups[first])
    assert chosen == {}  # each inner fold would train on one class
    assert set(fitted.predict(X)) <= set(y[first])
    some = np.isin(groups, np.unique(groups)[:9])
    _, chosen = study.baselines.tuned("logistic regression", X[some], y[some], groups[some])
    assert chosen["model__C"] in study.baselines.GRIDS["logistic regression"]["model__C"]


def test_the_run_at_full_size_goes_on_after_its_process_ended(tmp_path):
    def paper_size(epochs, folder):
        command = [sys.executable, str(BENCHMARKS / "paper_size.py"), "--small", "--samples", "200"]
        subprocess.run(
            [*command, "--epochs", str(epochs), "--output", str(tmp_path / folder)],
            capture_output=True,
            check=True,
        )
        return pd.read_csv(tmp_path / folder / "paper_size.csv").iloc[0]

    paper_size(1, "halves")
    halves, whole = paper_size(2, "halves"), paper_size(2, "whole")
    assert halves["epochs"] == whole["epochs"] == 2
    assert halves["loss"] == whole["loss"]  # order, dropout and optimizer went on as if undisturbed
    assert halves["accuracy"] == whole["accuracy"]


def test_the_table_for_the_reader_scores_and_draws_one_scene(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "scene_table.py"), "--output", str(tmp_path)]
    small = ["--size", "100", "--dates", "3", "--epochs", "1", "--trees", "10"]
    result = subprocess.run([*command, *small], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "| class | network | forest | difference | samples |" in (tmp_path / "table.md").read_text()
    figures = {path.name for path in tmp_path.glob("*.png")}
    assert figures >= {"per_class.png", "confusion.png", "general.png", "cloudy.png", "urban.png"}
    assert {path.name for path in tmp_path.glob("*.tif")} == {"network.tif", "forest.tif"}
