"""``fmahal detect --curves``: reading curves, the default detector, where curves are outlying, every error."""

import csv
import io
import json
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.pipeline import make_pipeline

from fmahal import LedoitWolf, MahalanobisDetector
from fmahal.spaces import L2Space

N, T = 40, 15
QUICK = ("--scatter", "ledoit-wolf", "--null", "chi2")


@pytest.fixture
def curves():
    rng = np.random.default_rng(3)
    X = np.cumsum(rng.normal(size=(N, T)), axis=1) / 4 + np.sin(np.linspace(0, 3, T))
    X[11, 5:8] += 6.0
    return X


GRID = np.linspace(2.0, 16.0, T) ** 1.5


def wide(X, header=None, names=None):
    lines = [] if header is None else [",".join(map(str, header))]
    for k, row in enumerate(X):
        cells = [repr(float(value)) for value in row]
        lines.append(",".join(cells if names is None else [names[k], *cells]))
    return "\n".join(lines) + "\n"


def long_table(X, grid, header="id,t,value", order=None):
    rows = [
        f"c{i},{float(t)!r},{float(value)!r}"
        for i, row in enumerate(X)
        for t, value in zip(grid, row, strict=True)
    ]
    rows = rows if order is None else [rows[k] for k in order]
    return "\n".join([header, *rows]) + "\n"


def answer(run, *arguments):
    code, out, err = run("detect", *arguments, "--curves", "--json")
    assert code == 0, err
    return json.loads(out), err


def d2_of(X, grid):
    detector = MahalanobisDetector(make_pipeline(L2Space(grid_points=grid), LedoitWolf()), "chi2").fit(X)
    return detector.d2_


class TestReading:
    def test_the_header_is_the_grid(self, run, write, curves):
        names = [f"s{k}" for k in range(N)]
        path = write(wide(curves, ["who", *GRID.tolist()], names))
        found, err = answer(run, path, *QUICK)
        assert_allclose(found["grid"], GRID)
        assert found["rows"] == N
        assert found["columns"] == T
        assert "named by column 'who'" not in err  # said among the results, not as a note
        top = found["outliers"][0]
        assert top["name"] == "s11"
        assert_allclose(top["d2"], d2_of(curves, GRID).max(), rtol=1e-9)

    def test_a_numeric_first_row_is_the_grid_when_it_increases(self, run, write, curves):
        found, err = answer(run, write(wide(curves, GRID.tolist())), *QUICK)
        assert_allclose(found["grid"], GRID)
        assert "is taken as the grid; --header no" in err
        found, err = answer(run, write(wide(curves, GRID.tolist())), *QUICK, "--header", "no")
        assert found["rows"] == N + 1

    def test_equal_steps_are_a_grid_even_before_curves_that_increase(self, run, write, curves):
        rising = np.cumsum(np.abs(curves), axis=1)
        found, _ = answer(run, write(wide(rising, range(T))), *QUICK)
        assert found["grid"] == list(range(T))

    def test_without_a_header_points_are_at_equal_steps(self, run, write, curves):
        found, err = answer(run, write(wide(curves)), *QUICK)
        assert_allclose(found["grid"], np.linspace(0, 1, T))
        assert "no grid: the 15 points of a curve are taken at equal steps; --grid FILE names them" in err
        assert found["outliers"][0]["row"] == 12
        assert_allclose(found["outliers"][0]["d2"], d2_of(curves, None).max(), rtol=1e-9)

    def test_grid_file(self, run, write, curves):
        path = write(wide(curves))
        grid = write("\n".join(map(repr, GRID.tolist())), "grid.txt")
        found, _ = answer(run, path, "--grid", grid, *QUICK)
        assert_allclose(found["grid"], GRID)
        assert_allclose(found["outliers"][0]["d2"], d2_of(curves, GRID).max(), rtol=1e-9)
        row = write(",".join(map(repr, GRID.tolist())) + "\n", "row.txt")
        assert answer(run, path, "--grid", row, *QUICK)[0]["outliers"] == found["outliers"]

    def test_words_in_the_header_name_the_points(self, run, write, curves):
        words = [f"week {k}" for k in range(T)]
        found, _ = answer(
            run, write(wide(curves, ["year", *words], [str(1950 + k) for k in range(N)])), *QUICK
        )
        assert found["grid"] == words
        assert found["outliers"][0]["name"] == "1961"
        part = found["outliers"][0]["top_part"]
        assert part["from"] in words[4:9]
        assert part["to"] in words[4:9]
        assert part["share"] >= 0.5

    def test_long_is_wide(self, run, write, curves):
        mixed = np.random.default_rng(0).permutation(N * T)
        first = answer(run, write(long_table(curves, GRID)), *QUICK)[0]
        assert first["rows"] == N
        assert_allclose(first["grid"], GRID)
        wide_one = answer(
            run, write(wide(curves, ["id", *GRID.tolist()], [f"c{k}" for k in range(N)]), "w.csv"), *QUICK
        )[0]
        assert [row["name"] for row in first["outliers"]] == [row["name"] for row in wide_one["outliers"]]
        assert_allclose(
            [r["d2"] for r in first["outliers"]], [r["d2"] for r in wide_one["outliers"]], rtol=1e-12
        )
        shuffled = answer(run, write(long_table(curves, GRID, order=mixed), "m.csv"), *QUICK)[0]
        assert shuffled["outliers"][0]["name"] == "c11"
        assert_allclose(shuffled["outliers"][0]["d2"], first["outliers"][0]["d2"], rtol=1e-9)

    def test_long_with_other_names_is_asked_for(self, run, write, curves):
        path = write(long_table(curves, GRID, header="who,when,what"))
        found, _ = answer(run, path, "--long", *QUICK)
        assert found["rows"] == N
        assert found["outliers"][0]["name"] == "c11"

    def test_components(self, run, write, curves):
        second = np.random.default_rng(5).normal(size=curves.shape)
        second[20, :4] += 9.0
        lines = ["id,t,value,component"]
        for name, X in (("height", curves), ("speed", second)):
            lines += [
                f"c{i},{t!r},{v!r},{name}"
                for i, row in enumerate(X.tolist())
                for t, v in zip(GRID.tolist(), row)
            ]
        found, _ = answer(run, write("\n".join(lines) + "\n"), *QUICK)
        assert found["components"] == ["height", "speed"]
        parts = {row["name"]: row["top_part"]["components"] for row in found["outliers"]}
        assert parts["c20"]["speed"] > 0.8 > parts["c20"]["height"]
        assert_allclose(sum(parts["c20"].values()), 1.0)
        code, out, _ = run("detect", write("\n".join(lines) + "\n"), "--curves", *QUICK)
        assert code == 0
        assert "40 curves of 15 points and 2 components" in out
        assert re.search(r"c20 .*outlier.*speed \(\d+%\)", out)

    def test_labels_and_drop(self, run, write, curves):
        marks = np.arange(N) == 11
        text = wide(np.column_stack([curves, marks]), [*GRID.tolist(), "bad"])
        found, _ = answer(run, write(text), "--labels", "bad", *QUICK)
        assert (found["known_outliers"], found["known_outliers_flagged"]) == (1, 1)
        found, _ = answer(run, write(text), "--drop", f"bad,{GRID[0]}", *QUICK)
        assert_allclose(found["grid"], GRID[1:])


class TestResults:
    def test_elnino_out_of_the_box(self, run, tmp_path):
        report = tmp_path / "elnino.html"
        code, out, _ = run("detect", "elnino", "--curves", "--report", report)
        assert code == 0
        assert "69 curves of 12 points" in out
        flagged = re.findall(r"^ +\d+ +(\d{4}) .*outlier", out, flags=re.M)
        assert {"1983", "1997"} <= set(flagged)
        assert re.search(r"1997 .*outlier +\w{3} to \w{3} \(\d+%\)", out)
        assert " row" not in out
        page = report.read_text(encoding="utf-8")
        assert "The curves, and where they are outlying" in page
        assert "How the curves vary" in page
        assert ">1983</td>" in page
        assert 'class="spark"' in page

    def test_scores_of_all_curves(self, run, write, curves):
        code, out, _ = run("detect", write(wide(curves, GRID.tolist())), "--curves", *QUICK, "--out", "-")
        assert code == 0
        rows = list(csv.DictReader(io.StringIO(out)))
        assert len(rows) == N
        assert list(rows[0]) == ["row", "d2", "pvalue", "label", "flagged", "top_from", "top_to", "top_share"]
        assert_allclose([float(row["d2"]) for row in rows], d2_of(curves, GRID), rtol=1e-9)
        top = rows[11]
        assert top["label"] == "-1"
        assert GRID[4] <= float(top["top_from"]) <= float(top["top_to"]) <= GRID[8]
        assert float(top["top_share"]) >= 0.5

    def test_units_of_values_and_of_time_change_nothing(self, run, write, curves):
        base, _ = answer(run, write(wide(curves, GRID.tolist())), "--null", "chi2")
        for k, (value, time) in enumerate([(1e-6, 1.0), (1e8, 1e6), (1.0, 1e-6)]):
            path = write(wide(curves * value, (GRID * time).tolist()), f"u{k}.csv")
            other, _ = answer(run, path, "--null", "chi2")
            assert [row["row"] for row in other["outliers"]] == [row["row"] for row in base["outliers"]]
            assert_allclose(
                [r["d2"] for r in other["outliers"]], [r["d2"] for r in base["outliers"]], rtol=1e-6
            )

    @pytest.mark.parametrize(
        "arguments", [("--scatter", "spectral"), ("--scatter", "mcd"), ("--space", "sobolev")]
    )
    def test_other_scatters_and_spaces(self, run, write, curves, arguments):
        found, _ = answer(run, write(wide(curves, GRID.tolist())), *arguments, "--null", "chi2")
        assert 12 in [row["row"] for row in found["outliers"]]
        name = {"spectral": "SpectralFilter", "mcd": "SphericalPCA", "sobolev": "SobolevSpace"}[arguments[1]]
        assert name in found["scatter"]

    def test_settings_of_the_default_and_of_a_named_scatter(self, run, write, curves):
        path = write(wide(curves, GRID.tolist()))
        found, _ = answer(run, path, "--set", "support_fraction=0.6", "--null", "chi2")
        assert "support_fraction=0.6" in found["scatter"]
        found, _ = answer(run, path, "--scatter", "spectral", "--set", "filter=truncate", "--null", "chi2")
        assert "filter='truncate'" in found["scatter"]

    def test_the_default_law_reaches_the_level_of_all_curves_together(self, run):
        code, out, err = run("detect", "elnino", "--curves", "--simultaneous", "--json")
        assert code == 0, err
        found = json.loads(out)
        assert found["train_cutoff"] is not None
        assert "No curve can be flagged" not in err

    def test_all_curves_together(self, run, write, curves):
        found, _ = answer(run, write(wide(curves, GRID.tolist())), *QUICK, "--simultaneous")
        assert found["level"] < 0.01
        assert found["simultaneous"] is True


class TestErrors:
    def test_options_of_curves_alone(self, refused, csv_file):
        assert "--grid is about curves: add --curves" in refused("detect", csv_file, "--grid", "g.txt")
        assert "--long is about curves" in refused("detect", csv_file, "--long")
        assert "--space is about curves" in refused("detect", csv_file, "--space", "l2")

    def test_missing_values_name_curve_and_t(self, refused, write, curves):
        curves[4, 7] = curves[9, 1] = np.nan
        text = wide(curves, ["who", *GRID.tolist()], [f"s{k}" for k in range(N)])
        message = refused("detect", write(text), "--curves")
        assert f"curve 's4', row 5 (line 6), has no value at t = {float(GRID[7])!r}" in message
        assert "1 other curve too" in message
        assert "interpolate" in message
        message = refused(
            "detect", write(wide(curves, names=[f"s{k}" for k in range(N)])), "--curves", "--header", "no"
        )
        assert "curve 's4'" in message
        assert "at t = x8" in message
        curves[4, 7] = np.inf
        assert "has an infinite value" in refused("detect", write(wide(curves, GRID.tolist())), "--curves")

    def test_text_in_a_curve(self, refused, write, curves):
        text = wide(curves, GRID.tolist()).replace(repr(float(curves[3, 2])), "oops")
        assert "is 'oops'" in refused("detect", write(text), "--curves")

    def test_the_header_must_increase(self, refused, write, curves):
        header = ["who", *GRID.tolist()]
        header[4], header[5] = header[5], header[4]
        message = refused("detect", write(wide(curves, header, ["a"] * N)), "--curves")
        assert "the header: grid points must increase; point 5 is" in message
        assert "pass --header no" in message

    def test_grid_file(self, refused, write, curves):
        path = write(wide(curves))

        def grid(text):
            return refused("detect", path, "--curves", "--grid", write(text, "grid.txt"))

        assert "has 3 points, the curves of" in grid("1\n2\n3\n")
        assert "expected one column of grid points, found 2 columns" in grid("1,2\n3,4\n")
        assert "grid points must increase; point 3 is 2 after 2" in grid("1\n2\n2\n")
        assert "is no number" in grid("a\n1\nnan\n3\n")
        assert "holds text" in grid("a\n1\nb\n3\n")
        assert "Cannot read nothere.txt: No such file" in refused(
            "detect", path, "--curves", "--grid", "nothere.txt"
        )
        assert "one number a line" in refused("detect", path, "--curves", "--grid", "-")

    def test_irregular_curves(self, refused, write, curves):
        order = [k for k in range(N * T) if k != 3 * T + 5]
        message = refused("detect", write(long_table(curves, GRID, order=order)), "--curves")
        assert "no common grid: 1 curve of 40 lack" in message
        assert "'c3'" in message
        assert f"t = {GRID[5]:g}" in message
        assert "L2Space(basis=...)" in message

    def test_a_point_twice(self, refused, write, curves):
        order = [*range(N * T), 7]
        assert "curve 'c0' has 2 values at t =" in refused(
            "detect", write(long_table(curves, GRID, order=order)), "--curves"
        )

    def test_long_tables_of_the_wrong_kind(self, refused, write, curves):
        assert "a long table of curves has three" in refused(
            "detect", write(wide(curves, GRID.tolist())), "--curves", "--long"
        )
        text = long_table(curves, GRID).replace(repr(float(curves[2, 3])), "bad")
        assert "curve 'c2', is 'bad'" in refused("detect", write(text), "--curves")
        text = long_table(curves, GRID).replace(repr(float(curves[2, 3])), "")
        message = refused("detect", write(text), "--curves")
        assert f"curve 'c2' has no number in column 'value' at t = {GRID[3]:g}" in message
        assert "--labels is for wide tables" in refused(
            "detect", write(long_table(curves, GRID)), "--curves", "--labels", "t"
        )

    def test_too_few_points_or_curves(self, refused, write, curves):
        assert "a curve needs at least two" in refused(
            "detect", write(wide(curves[:, :1], ["a"])), "--curves"
        )
        assert "2 curves; their scatter needs at least three" in refused(
            "detect", write(wide(curves[:2], GRID.tolist())), "--curves"
        )

    def test_names(self, refused, write, curves):
        path = write(wide(curves, GRID.tolist()))
        assert "no space named 'sobolef'. Did you mean 'sobolev'?" in refused(
            "detect", path, "--curves", "--space", "sobolef"
        )
        assert "there is no scatter named 'mrdc'" in refused("detect", path, "--curves", "--scatter", "mrdc")
        assert "neither a file nor a bundled data set" in refused("detect", "elninjo", "--curves")
        assert "no such parameter" in refused("detect", path, "--curves", "--set", "colour=red")

    def test_equal_curves(self, refused, write):
        assert refused("detect", write(wide(np.ones((6, 5)), range(5))), "--curves", "--scatter", "spectral")
