"""Hyperplanes, ties and clusters: the minimum covariance determinant where the answer is not an ellipsoid."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_iris

from fmahal.exceptions import AmbiguousFitWarning, ExactFitWarning, FmahalWarning
from fmahal.scatter import MinCovDet

GOLDEN = json.loads((Path(__file__).parents[1] / "fixtures" / "mcd_golden.json").read_text())
REFERENCE = Path(__file__).parents[2].parent / "shared" / "golden" / "robust"
SCALES = (1e-8, 1.0, 1e8)
METHODS = ("auto", "fast", "deterministic")


def fit(X, *, h=None, **options):
    fraction = None if h is None else (h + 0.5) / len(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FmahalWarning)
        return MinCovDet(**({"random_state": 0, "support_fraction": fraction} | options)).fit(X)


def assert_exact_fit(fitted, X, on_plane=None):
    """Everything an exact fit promises; returns it."""
    found = fitted.exact_fit_
    assert found is not None
    p = X.shape[1]
    spread = np.abs(X).max(axis=0)
    assert np.linalg.norm(found.normal) == pytest.approx(1.0, rel=1e-12)
    height = np.abs(X @ found.normal - found.offset) / (np.abs(found.normal) @ spread + 1e-300)
    assert found.rows.dtype == bool
    assert height[found.rows].max() < 1e-7
    assert found.rows.sum() >= fitted.n_support_
    if on_plane is not None:
        np.testing.assert_array_equal(found.rows, on_plane)
    assert fitted.objective_ == -np.inf
    assert fitted.rank_ < p
    assert fitted.raw_support_.sum() == fitted.n_support_
    assert found.rows[fitted.raw_support_].all()
    covariance = fitted.covariance_
    assert np.isfinite(covariance).all()
    variance = found.normal @ covariance @ found.normal
    assert variance <= 1e-12 * (np.abs(found.normal) @ np.sqrt(np.diagonal(covariance))) ** 2
    d2 = fitted.mahalanobis(X)
    assert np.isfinite(d2).all()
    np.testing.assert_allclose(d2, fitted.d2_, rtol=1e-8, atol=1e-10)
    residual = fitted.residual(X)
    assert np.isfinite(residual).all()
    assert residual[found.rows].max(initial=0.0) < 1e-6
    if not found.rows.all():
        assert residual[~found.rows].min() > 0.0
    assert not fitted.weights_[~found.rows].any()
    return found


# Data of the literature.


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("name", "alpha"),
    [(name, alpha) for name in GOLDEN for alpha in ("a50", "a75") if GOLDEN[name][alpha]["exact"]],
)
def test_hyperplanes_of_the_literature(name, alpha, scale):
    case = GOLDEN[name]
    X, expected = np.array(case["x"]) * scale, case[alpha]["exact"]
    fitted = fit(X, h=case[alpha]["h"])
    found = assert_exact_fit(fitted, X)
    if name == "possum_mat":  # all rows lie on hyperplanes, and h of them on more of these
        assert fitted.rank_ <= case["p"] - 2
        return
    assert found.rows.sum() == expected["count"]
    coeff = np.array(expected["coeff"])
    np.testing.assert_allclose(abs(found.normal @ coeff), 1.0, rtol=1e-8)
    assert fitted.rank_ == case["p"] - 1
    centre = np.array(expected["center"]) * scale
    assert abs((fitted.location_ - centre) @ found.normal) <= 1e-8 * np.abs(centre).max() + 1e-12 * scale


def test_units_of_single_columns_do_not_decide():
    X = np.array(GOLDEN["biomassTill"]["x"])
    rows = X[:, 1] == X[:, 2]
    for units in ([1e8, 1.0, 1.0], [1.0, 1e-8, 1e8], [1e-150, 1e100, 1e-100]):
        found = assert_exact_fit(fit(X * units, h=31), X * units)
        np.testing.assert_array_equal(found.rows, rows)


# Made data.


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", SCALES)
def test_oblique_hyperplane(scale, method):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) + np.array([0.0, 10.0, -5.0, 100.0])
    X[:45, 3] = 2.0 * X[:45, 0] - X[:45, 1] + 0.5 * X[:45, 2] + 3.0
    X = X[rng.permutation(60)] * scale
    on_plane = np.abs(X[:, 3] - (2.0 * X[:, 0] - X[:, 1] + 0.5 * X[:, 2] + 3.0 * scale)) < 1e-9 * scale
    with pytest.warns(ExactFitWarning, match="45 of") as caught:
        fitted = MinCovDet(method=method, random_state=0).fit(X)
    assert caught[0].filename == __file__
    found = assert_exact_fit(fitted, X, on_plane)
    expected = np.array([2.0, -1.0, 0.5, -1.0]) / np.sqrt(6.25)
    assert abs(found.normal @ expected) == pytest.approx(1.0, rel=1e-9)
    assert fitted.rank_ == 3
    inside = fitted.d2_[on_plane]
    assert 0.5 < np.median(inside) < 6.0  # chi-square of three degrees: 2.4


@pytest.mark.parametrize("method", METHODS)
def test_one_row_decides(method):
    """h rows on the plane are an exact fit, h - 1 are not."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40, 3))
    h = 22
    X[:h, 2] = X[:h, 0] - X[:h, 1]
    fitted = fit(X, method=method)
    assert fitted.n_support_ == h
    assert_exact_fit(fitted, X, np.arange(40) < h)
    X[0, 2] += 1.0
    assert fit(X, method=method).exact_fit_ is None


@pytest.mark.parametrize("scale", SCALES)
def test_constant_columns(scale):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(40, 4)) * scale
    X[:, 1] = 0.1 * scale
    fitted = fit(X)
    found = assert_exact_fit(fitted, X, np.ones(40, bool))
    np.testing.assert_allclose(np.abs(found.normal), [0, 1, 0, 0], atol=1e-10)
    assert found.offset * np.sign(found.normal[1]) == pytest.approx(0.1 * scale, rel=1e-10)
    assert fitted.rank_ == 3
    rest = fit(X[:, [0, 2, 3]])
    np.testing.assert_array_equal(fitted.support_[rest.d2_ > 20], False)
    X[:, 3] = -7.0 * scale
    fitted = fit(X)
    assert_exact_fit(fitted, X, np.ones(40, bool))
    assert fitted.rank_ == 2


def test_column_constant_for_most_rows():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(50, 3))
    X[:35, 1] = 4.0
    found = assert_exact_fit(fit(X), X, np.arange(50) < 35)
    assert abs(found.normal[1]) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", SCALES)
def test_more_than_h_equal_rows(scale, method):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(50, 3))
    X[10:45] = [1.0, -2.0, 3.0]
    X *= scale
    equal = np.isclose(X[:, 0], X[10, 0], rtol=1e-15, atol=0)
    with pytest.warns(ExactFitWarning):
        fitted = MinCovDet(method=method, random_state=0).fit(X)
    assert_exact_fit(fitted, X)
    assert fitted.exact_fit_.rows[equal].all()
    assert fitted.raw_support_[equal].sum() >= fitted.n_support_ - 15
    assert not fitted.weights_[~fitted.exact_fit_.rows].any()


def test_rows_on_a_line():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(50, 3)) * 3.0
    t = rng.normal(size=40)
    X[:40] = np.array([1.0, 2.0, 3.0]) + t[:, None] * [1.0, -1.0, 0.5]
    fitted = fit(X)
    found = assert_exact_fit(fitted, X)
    assert found.rows[:40].all()
    assert fitted.rank_ in (1, 2)
    assert fitted.residual(X)[:40].max() < 1e-8


def test_duplicates_alone_are_no_exact_fit():
    rng = np.random.default_rng(6)
    X = np.repeat(rng.normal(size=(30, 3)), 3, axis=0)
    fitted = fit(X)
    assert fitted.exact_fit_ is None
    assert np.isfinite(fitted.d2_).all()
    np.testing.assert_allclose(fitted.d2_[0::3], fitted.d2_[1::3], rtol=1e-10)


@pytest.mark.parametrize("scale", SCALES)
def test_integers_with_ties(scale):
    rng = np.random.default_rng(7)
    X = rng.poisson(2.0, size=(80, 4)) * scale
    fitted = fit(X)
    reference = fit(rng.permutation(X / scale))
    assert np.isfinite(fitted.d2_).all()
    assert (fitted.exact_fit_ is None) == (reference.exact_fit_ is None)
    if fitted.exact_fit_ is None:
        assert fitted.objective_ == pytest.approx(reference.objective_ + 8 * np.log(scale), abs=0.2)


def test_new_rows_of_an_exact_fit():
    rng = np.random.default_rng(8)
    X = rng.normal(size=(60, 3))
    X[:50, 2] = X[:50, 0] + X[:50, 1]
    fitted = fit(X)
    new = rng.normal(size=(5, 3))
    new[:, 2] = new[:, 0] + new[:, 1]
    off = new + fitted.exact_fit_.normal
    np.testing.assert_allclose(fitted.residual(new), 0.0, atol=1e-7)
    assert fitted.residual(off).min() > 0.01
    assert np.isinf(fitted.mahalanobis(off, outside="inf")).all()
    assert np.isfinite(fitted.mahalanobis(off)).all()
    assert fitted.transform(new).shape == (5, 2)


def test_exact_fit_within_enumeration():
    X = np.array(GOLDEN["SiegelsEx"]["x"])
    with pytest.warns(ExactFitWarning):
        fitted = MinCovDet(method="exact", support_fraction=6.5 / 9).fit(X)
    assert_exact_fit(fitted, X, X[:, 1] == 0.0)


# Inputs on which scikit-learn's estimator fails or fell over, by the number of the report.


def assert_sound(fitted, X):
    """No NaN, no determinant below that of what is reported, an exact fit wherever there is one."""
    assert np.isfinite(fitted.location_).all()
    assert np.isfinite(fitted.covariance_).all()
    assert np.isfinite(fitted.d2_).all()
    assert np.isfinite(fitted.mahalanobis(X)).all()
    assert (fitted.d2_ >= 0).all()
    if fitted.exact_fit_ is not None:
        assert_exact_fit(fitted, X)
    else:
        assert np.isfinite(fitted.objective_)
        assert fitted.rank_ == X.shape[1]


@pytest.fixture
def _only_our_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", FmahalWarning)
        yield


@pytest.mark.usefixtures("_only_our_warnings")
class TestReportsToScikitLearn:
    def fit(self, X, **options):
        return MinCovDet(**({"random_state": 0} | options)).fit(X)

    def test_8811_standardised_counts(self):
        """Two standardised columns of small counts: determinants that rise from minus infinity."""
        rng = np.random.default_rng(8811)
        X = np.column_stack([rng.geometric(0.6, 120), rng.integers(0, 3, 120)]).astype(float)
        X[17, 0] = 60.0
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        for rows in (X, X[::2]):
            assert_sound(self.fit(rows), rows)

    def test_8811_rounded_iris(self):
        """29 of 50 petal widths of Iris setosa are 0.2, and 27 rows make the subset."""
        X = load_iris().data[:50]
        fitted = self.fit(X)
        assert_sound(fitted, X)
        assert_exact_fit(fitted, X, X[:, 3] == 0.2)

    def test_11366_many_rows_of_codes(self):
        """Integer codes of few values, in eight columns of very different units."""
        rng = np.random.default_rng(11366)
        codes = [rng.integers(1, high, 20_000) for high in (8, 1000, 32, 2, 4000, 40, 3, 9)]
        X = np.column_stack(codes).astype(float)
        X[:, 3] = rng.random(20_000) < 0.2
        assert_sound(self.fit(X), X)
        X = X[:, [0, 1, 2, 4, 5]]
        fitted = self.fit(X)
        assert_sound(fitted, X)
        assert fitted.exact_fit_ is None

    def test_22349_few_points_many_times(self):
        """75 rows on a handful of points; the two commonest hold more than a subset."""
        points = [(13.6, -7.7, 34), (14.4, -5.9, 20), (-19.3, 10.9, 9), (13.5, -7.1, 5), (13.1, -7.7, 7)]
        X = np.concatenate([np.tile([a, b], (count, 1)) for a, b, count in points])
        X = X[np.random.default_rng(22349).permutation(75)]
        fitted = self.fit(X)
        assert_sound(fitted, X)
        assert fitted.exact_fit_.rows.sum() >= 39

    def test_5961_negative_log_determinants(self):
        """A log-determinant below zero is a small unit, not an error; minus infinity is an exact fit."""
        rng = np.random.default_rng(5961)
        X = rng.normal(size=(60, 3)) * 1e-6
        fitted = self.fit(X)
        assert_sound(fitted, X)
        assert fitted.objective_ < -70
        assert fitted.exact_fit_ is None
        X[:40, 1] = 2e-6
        assert_exact_fit(self.fit(X), X, X[:, 1] == 2e-6)

    def test_3367_a_plane_and_a_few_rows_off_it(self):
        rng = np.random.default_rng(3367)
        x, y = np.meshgrid(np.linspace(-5, 5, 10), np.linspace(-5, 5, 10))
        plane = np.column_stack([x.ravel(), y.ravel(), np.zeros(100)])
        X = np.concatenate([plane, rng.uniform(1, 5, size=(20, 3))])
        fitted = self.fit(X)
        assert_sound(fitted, X)
        assert_exact_fit(fitted, X, np.arange(120) < 100)

    @pytest.mark.parametrize("p", [1, 2])
    def test_26537_a_series_that_mostly_stands_still(self, p):
        x = np.full(200, 3.7)
        x[::9] += np.random.default_rng(26537).normal(size=len(x[::9]))
        X = np.column_stack([x, 0.5 * x])[:, :p]
        fitted = self.fit(X)
        assert_sound(fitted, X)
        assert fitted.exact_fit_ is not None
        np.testing.assert_allclose(fitted.location_, [3.7, 1.85][:p], rtol=1e-12 if p == 1 else 0.2)

    def test_21818_zeros(self):
        X = np.zeros((12, 2))
        fitted = self.fit(X)
        assert_sound(fitted, X)
        np.testing.assert_array_equal(fitted.covariance_, np.zeros((2, 2)))
        np.testing.assert_array_equal(fitted.location_, np.zeros(2))
        np.testing.assert_array_equal(fitted.d2_, np.zeros(12))
        assert fitted.rank_ == 0
        with pytest.raises(ValueError, match="MRCD"):
            self.fit(X[:3])

    def test_9864_one_column_of_mostly_one_value(self):
        X = np.array([[0.5, 0.1, 0.1, 0.1, 0.957, 0.1, 0.1, 0.1, 0.4285, 0.1]]).T
        fitted = self.fit(X)
        assert_sound(fitted, X)
        assert fitted.location_[0] == 0.1
        np.testing.assert_array_equal(fitted.exact_fit_.rows, X[:, 0] == 0.1)


# Tight clusters.


def tight_cluster(n=400, p=15, share=0.3, seed=9):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    bad = np.arange(n) < share * n
    X[bad] = 0.1 * X[bad] + 10.0 * np.sqrt(p) * np.eye(p)[0]
    order = rng.permutation(n)
    return X[order], bad[order]


def test_tight_cluster_is_reported_with_both_solutions():
    X, bad = tight_cluster()
    with pytest.warns(AmbiguousFitWarning, match="%") as caught:
        fitted = MinCovDet(random_state=0).fit(X)
    assert caught[0].filename == __file__
    other = fitted.alternative_
    assert other.objective >= fitted.objective_
    holds, clean = (fitted, other) if fitted.raw_support_[bad].mean() > 0.5 else (other, fitted)
    support = [s.raw_support_ if s is fitted else s.raw_support for s in (holds, clean)]
    assert support[0][bad].all()
    assert not support[1][bad].any()
    d2 = [s.d2_ if s is fitted else s.d2 for s in (holds, clean)]
    assert np.median(d2[0][bad]) < 30 < 1000 < d2[1][bad].min()
    verdicts = other.d2 < stats.chi2.ppf(0.975, X.shape[1])
    assert 0.1 <= other.share <= np.mean(verdicts != fitted.weights_)
    assert other.share >= bad.mean()  # the whole cluster is a clear case
    assert other.location.shape == (X.shape[1],)
    assert other.covariance.shape == (X.shape[1],) * 2
    alone = fit(X, method="deterministic")
    assert alone.objective_ == pytest.approx(other.objective, abs=1e-6)
    np.testing.assert_array_equal(alone.raw_support_, other.raw_support)


def test_tight_cluster_of_the_reference_design():
    path = REFERENCE / "sim6_clust30_n5000_p20.npy"
    if not path.exists():
        pytest.skip(f"{path.name} is not on this machine")
    X = np.load(path)
    case = GOLDEN["sim6_clust30_n5000_p20"]["a50"]
    with pytest.warns(AmbiguousFitWarning):
        fitted = MinCovDet(support_fraction=(case["h"] + 0.5) / len(X), random_state=0).fit(X)
    assert fitted.objective_ == pytest.approx(case["target"], abs=1e-2)
    assert fitted.alternative_.objective == pytest.approx(case["det"], abs=1e-2)
    assert fitted.alternative_.share > 0.25


def test_clean_rows_are_not_called_ambiguous():
    """Small clean samples have many subsets of nearly the same determinant: no reason to warn."""
    warned = 0
    for seed in range(20):
        X = np.random.default_rng(seed).normal(size=(40, 4))
        warned += fit(X, random_state=seed).alternative_ is not None
    assert warned <= 1


@pytest.mark.parametrize("method", METHODS)
def test_no_alternative_where_the_solutions_agree(method):
    rng = np.random.default_rng(10)
    X = rng.normal(size=(150, 4))
    X[:20] += 10.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = MinCovDet(method=method, random_state=0).fit(X)
    assert fitted.alternative_ is None
