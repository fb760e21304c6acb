"""The robustness experiment: outliers are where they should be, measures are their formulas, peers may be missing."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2
from sklearn.covariance import EmpiricalCovariance as Plain
from sklearn.metrics import roc_auc_score

pytest.importorskip("pyarrow")
_spec = pytest.importorskip("experiments._spec", reason="the experiments are not next to the tests")
from experiments._render import Results  # noqa: E402
from experiments._run import run  # noqa: E402
from experiments.e03_robustness import EXPERIMENT, page, spec, standing  # noqa: E402

METHODS = {one.name: one for one in _spec.methods("robustness")}
PEERS = {one.name: one for one in METHODS.values() if one.package != "fmahal"}


def seeds(repetition=0, data="d"):
    return _spec.Seeds("e03", data, repetition)


def mahalanobis(X, covariance):
    return np.sqrt(np.einsum("ij,ij->i", X @ np.linalg.inv(covariance), X))


@pytest.mark.parametrize("kind", spec.KINDS)
def test_outliers_are_where_they_should_be(kind):
    table = spec.table_of(50, 4, 0.2, kind, (3.0,), seeds())
    X, unit = table.moved(3.0), np.sqrt(chi2.isf(spec.LEVEL, 4))
    assert np.array_equal(X[10:], table.clean[10:])
    if kind == "radial":
        np.testing.assert_allclose(mahalanobis(X[:10], table.covariance), 3.0 * unit)
        assert np.linalg.norm(np.linalg.solve(table.covariance, X[:10].mean(axis=0))) < 3.0 * unit
        return
    centre = X[:10] - table.spread
    np.testing.assert_allclose(mahalanobis(centre, table.covariance), 3.0 * unit)
    assert np.ptp(centre, axis=0).max() < 1e-12 * np.abs(centre).max()
    least = np.linalg.eigh(table.covariance)[1][:, 0]  # in the direction in which clean rows vary least
    assert abs(centre[0] @ least) == pytest.approx(np.linalg.norm(centre[0]))
    spread = (
        mahalanobis(table.spread, table.covariance).mean() / mahalanobis(table.clean, table.covariance).mean()
    )
    assert spread == pytest.approx(spec.POINT if kind == "point" else 1.0, rel=0.3)


def test_all_distances_of_a_repetition_move_the_same_rows():
    table = spec.table_of(30, 3, 0.3, "cluster", (2.0, 9.0), seeds())
    assert np.array_equal(table.moved(2.0)[9:], table.moved(9.0)[9:])
    gap = table.moved(9.0)[:9] - table.moved(2.0)[:9]
    np.testing.assert_allclose(gap, np.tile(gap[0], (9, 1)))


def test_bias_does_not_change_with_affine_maps_and_is_nothing_for_the_truth():
    rng = np.random.default_rng(0)
    S = np.cov(rng.standard_normal((9, 3)).T)
    at_truth = spec.bias(np.zeros(3), np.linalg.inv(S), S)
    assert max(map(abs, at_truth.values())) < 1e-9
    P, m, A = np.diag([1.0, 2.0, 8.0]), np.array([1.0, 0.0, 2.0]), rng.standard_normal((3, 3))
    found = spec.bias(m, P, np.eye(3))
    assert found["location"] == pytest.approx(np.sqrt(5.0))
    assert found["log_condition"] == pytest.approx(np.log(8.0))
    assert found["log_scale"] == pytest.approx(-np.log(16.0) / 3.0)
    assert found["kl"] == pytest.approx((11.0 - np.log(16.0) - 3.0) / 3.0)
    back = np.linalg.inv(A)
    assert spec.bias(A @ m, back.T @ P @ back, A @ A.T) == pytest.approx(found)
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        spec.bias(m, np.diag([1.0, 1.0, 0.0]), np.eye(3))


def test_detection_counts():
    d2 = np.array([9.0, 1.0, 7.0, 2.0, 3.0, 0.5])
    found = spec.detection(d2, d2 > 2.5, 3)
    assert (found["outliers"], found["found"], found["false"], found["beyond"]) == (3, 2, 1, 2)
    assert found["auroc"] == pytest.approx(roc_auc_score([1, 1, 1, 0, 0, 0], d2))
    assert set(spec.detection(d2, d2 > 2.5, 0)) == {"outliers", "found", "false"}


def test_peers_are_judged_by_chi_square_and_ours_by_their_law():
    X = np.random.default_rng(3).standard_normal((40, 3))
    fit = Plain().fit(X)
    d2 = fit.mahalanobis(X)
    peer = _spec.Method("peer", lambda seed: Plain(), package="scikit-learn")
    assert np.array_equal(spec.flags(peer, fit, X, d2), d2 > chi2.isf(0.01, 3))
    ours = _spec.Method("ours", lambda seed: Plain())
    X[0] = 5.0  # beyond the law of a training row, which is bounded
    assert spec.flags(ours, Plain(), X, d2).nonzero()[0].tolist() == [0]


def test_a_cluster_moves_the_mean_and_not_the_robust_estimates():
    table = spec.table_of(60, 3, 0.2, "cluster", (100.0,), seeds())
    found = {
        name: next(iter(spec.measure(table, METHODS[name], seeds())))
        for name in ("empirical", "mcd", "truth")
    }
    assert found["empirical"]["location"] > 50 > 1 > found["mcd"]["location"]
    assert found["mcd"]["found"] == found["truth"]["found"] == 12
    assert found["truth"]["log_condition"] == 0.0
    assert found["empirical"]["failed"] is None


@pytest.mark.parametrize("name", sorted(PEERS))
def test_peers_fit_and_have_what_a_scatter_needs(name):
    peer = PEERS[name]
    n, p = (30, 3) if peer.applies(30, 3) else (12, 14)
    X = np.random.default_rng(0).standard_normal((n, p)) + 7.0
    fit = peer.make(1).fit(X)
    assert np.abs(fit.location_ - 7.0).max() < 1.5
    w = np.linalg.eigvalsh(fit.get_precision())
    assert w.min() > 0.0
    assert np.median(w) == pytest.approx(1.0, rel=5.0)


def test_an_estimate_that_cannot_be_had_is_said_to_have_failed():
    class Refuses(Plain):
        def fit(self, X, y=None):
            raise ValueError("not today")

    table = spec.table_of(20, 2, 0.2, "point", (2.0, 3.0), seeds())
    found = list(spec.measure(table, _spec.Method("no", lambda seed: Refuses()), seeds()))
    assert [one["failed"] for one in found] == ["ValueError: not today"] * 2
    assert [one["outliers"] for one in found] == [4, 4]


@pytest.mark.parametrize("package", ["statsmodels", "robpy"])
def test_a_missing_package_is_a_line_and_no_error(package, monkeypatch, capsys):
    name = f"experiments.methods.peers_{package}"
    before = dict(_spec._METHODS)
    there = importlib.util.find_spec(name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda *wanted: None)
    there.loader.exec_module(importlib.util.module_from_spec(there))
    assert f"left out: the methods of {package}" in capsys.readouterr().err
    assert all(_spec._METHODS[name] is one for name, one in before.items())
    assert len(_spec._METHODS) == len(before)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("e03")
    names = "truth|empirical|mcd|wrapped|sklearn-mcd"
    run(EXPERIMENT, "smoke", folder=folder, only={"method": names})
    return folder


def rows(method, found, location, distance=5.0, kind="point", share=0.2, **more):
    axes = {"n": 50, "p": 3, "share": share, "kind": kind, "data": f"{kind} {share}", "distance": distance}
    record = {
        "location": location,
        "log_condition": 1.0,
        "found": found,
        "beyond": found,
        "auroc": 0.5,
        "false": 0,
    }
    return {**axes, "method": method, "repetition": 0, "outliers": 10, "warned": 0, "failed": None,
            **record, **more}  # fmt: skip


def test_the_worst_arrangement_counts_and_failures_are_the_worst():
    near = rows("mcd", 0, 2.0, distance=1.25)  # does not count for detection
    frame = pd.DataFrame([near, rows("mcd", 8, 0.5), rows("mcd", 10, 1.5, kind="cluster")])
    found = standing.worst(frame).loc[50, 3, "mcd", 0.2]
    assert (found["location"], found["found"], found["failed"]) == (2.0, 0.8, 0.0)
    broken = pd.concat(
        [frame, pd.DataFrame([rows("mcd", None, None, kind="radial", failed="ValueError: no")])]
    )
    found = standing.worst(broken).loc[50, 3, "mcd", 0.2]
    assert (found["location"], found["found"], found["failed"]) == (np.inf, 0.0, 0.25)


def repeated(method, found, location):
    """One row of each repetition."""
    return [rows(method, f, x, repetition=r) for r, (f, x) in enumerate(zip(found, location, strict=True))]


def test_findings_say_who_is_ahead_or_that_chance_may_decide():
    clean = [rows(m, 0, 0.1, 0.0, "none", 0.0, false=1, outliers=0) for m in ("mcd", "sklearn-mcd")]
    ours = repeated("mcd", (4, 3, 4, 3), (3.0, 2.9, 3.1, 3.0))
    far = repeated("sklearn-mcd", (9, 8, 9, 8), (7.0, 7.2, 6.8, 7.0))
    found = page.render(Results("e03", pd.DataFrame([*clean, *ours, *far]), {})).findings
    assert any(
        "worst bias of location: MinCovDet 3.0 (best of 1 of ours)" in one and "ours is ahead" in one
        for one in found
    )
    assert any(
        "distances of 2.5 and more: MinCovDet 35" in one and "the peer is ahead" in one for one in found
    )
    assert any("clean rows flagged" in one and "2.0" in one for one in found)
    assert any("Of 4 fits of MinCovDet" in one and "0 said" in one for one in found)
    assert not any("fits in" in one for one in found)  # times are for e09
    near = repeated("sklearn-mcd", (4, 4, 3, 3), (2.0, 4.0, 2.1, 4.1))
    found = page.render(Results("e03", pd.DataFrame([*clean, *ours, *near]), {})).findings
    assert sum("not told apart" in one for one in found) == 3


def test_intervals_pair_the_methods_and_take_the_worst_arrangement():
    rng = np.random.default_rng(0)
    level = 10.0 * rng.random(5)  # the repetitions differ far more than the methods do
    frame = pd.concat(
        pd.DataFrame([rows(m, 5, x + gap, 9.0, kind=kind, repetition=r) for r, x in enumerate(shift * level)])
        for m, gap in (("mcd", 0.0), ("sklearn-mcd", 0.25))
        for kind, shift in (("point", 1.0), ("radial", 0.1))
    )
    ((_, one),) = standing.contests(frame, ["mcd", "sklearn-mcd"], ["location"], [0.2]).items()
    assert (one.low, one.high) == pytest.approx((-0.25, -0.25))
    assert one.verdict == "ours is ahead"
    assert one.values == pytest.approx((np.median(level), np.median(level) + 0.25))
    turned = standing.contests(
        frame.assign(location=-frame["location"]), ["mcd", "sklearn-mcd"], ["location"], [0.2]
    )
    assert next(iter(turned.values())).verdict == "the peer is ahead"


def test_an_estimate_that_fails_now_and_then_has_an_infinite_end():
    often = repeated("sklearn-mcd", (5, 5, 5, 5), (1.0, 1.0, 1.0, 1.0))
    often[0] |= {"location": None, "failed": "ValueError: no"}
    ours = repeated("mcd", (5, 5, 5, 5), (1.0, 1.0, 1.0, 1.0))
    frame = standing.arrangements(pd.DataFrame([*ours, *often]))
    assert standing.difference(frame, "mcd", "sklearn-mcd", "location") == (-np.inf, 0.0)
    once = frame[frame["repetition"] == 1]
    assert np.isnan(standing.difference(once, "mcd", "sklearn-mcd", "location")).all()
    ((_, one),) = standing.contests(once, ["mcd", "sklearn-mcd"], ["location"], [0.2]).items()
    assert one.verdict == "not told apart"


def test_the_page_of_a_run_has_every_method(stored):
    frame = pd.read_parquet(stored / "e03.parquet")
    made = page.render(Results("e03", frame, {"profile": "smoke"}))
    for name in frame["method"].unique():
        assert f"| {METHODS[name].label} |" in made.blocks[page.PAGE]["e03"]
    assert set(made.tables) == {"e03_40x3", "e03_20x30"}
    assert made.numbers["e03.40x3.20.found.mcd"] == "100\u00a0%"
    assert set(made.figures) == {"e03_bias", "e03_detection"}


@pytest.mark.slow
def test_the_figures_are_drawn(stored, panels):
    made = page.render(Results("e03", pd.read_parquet(stored / "e03.parquet"), {}))
    assert [bool(panels(one)) for one in made.figures.values()] == [True, True]
