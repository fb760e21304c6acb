"""Which law null="auto" means."""

import numpy as np
import pytest
import sklearn.covariance as skcov
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

import fmahal
from fmahal._registry import nulls
from fmahal.exceptions import CalibrationWarning, RankDeficientError
from fmahal.nulls import (
    AutoNull,
    BaseNull,
    BootstrapNull,
    ChiSquareNull,
    NormalTheoryNull,
    RobustNull,
    auto_table,
    resolve_null,
    select_null,
)
from fmahal.scatter.mcd import MinCovDet

X = np.random.default_rng(0).normal(size=(40, 3)) @ np.diag([1.0, 5.0, 0.1])


class FixedProjection(FunctionTransformer):
    """A space that learns nothing and says so."""

    fixed_space = True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = True  # so that only fixed_space speaks for it
        return tags


EXACT = [
    (fmahal.EmpiricalCovariance(), NormalTheoryNull),
    (fmahal.EmpiricalCovariance(assume_centered=True), NormalTheoryNull),
    (skcov.EmpiricalCovariance(), NormalTheoryNull),
    (make_pipeline(skcov.EmpiricalCovariance()), NormalTheoryNull),
    (make_pipeline("passthrough", skcov.EmpiricalCovariance()), NormalTheoryNull),
    (make_pipeline(StandardScaler(), MinMaxScaler(), fmahal.EmpiricalCovariance()), NormalTheoryNull),
    (make_pipeline(FunctionTransformer(np.cbrt), fmahal.EmpiricalCovariance()), NormalTheoryNull),
    (make_pipeline(FixedProjection(np.cbrt), fmahal.EmpiricalCovariance()), NormalTheoryNull),
    (fmahal.FixedScatter("mean", covariance=np.eye(3)), NormalTheoryNull),
    (fmahal.FixedScatter(np.zeros(3), covariance=np.eye(3)), ChiSquareNull),
    (MinCovDet(random_state=0), RobustNull),
    (make_pipeline(StandardScaler(), MinCovDet(random_state=0)), RobustNull),
    (
        make_pipeline(FunctionTransformer(), fmahal.FixedScatter(np.zeros(3), covariance=np.eye(3))),
        ChiSquareNull,
    ),
]
FAST = [fmahal.LedoitWolf(), fmahal.OAS(), fmahal.QIS(), fmahal.ShrunkCovariance(), skcov.LedoitWolf()]
RESAMPLED = [
    fmahal.FixedScatter("median"),
    fmahal.FixedScatter("median", covariance=np.eye(3)),
    fmahal.ModifiedCholesky(penalty="l2", alpha=0.1),
    skcov.GraphicalLasso(),
    make_pipeline(StandardScaler(), fmahal.LedoitWolf()),
    make_pipeline(PCA(2), fmahal.EmpiricalCovariance()),
    make_pipeline(PCA(2), MinCovDet(random_state=0)),
    make_pipeline(MinMaxScaler(clip=True), fmahal.EmpiricalCovariance()),
    make_pipeline(StandardScaler(), fmahal.FixedScatter(np.zeros(3), covariance=np.eye(3))),
]
PARAMETRIC = [
    fmahal.MRCD(),
    fmahal.OGK(),
    fmahal.WrappedCovariance(),
    make_pipeline(StandardScaler(), fmahal.OGK()),
    make_pipeline(FunctionTransformer(np.cbrt), fmahal.MRCD()),
    skcov.MinCovDet(random_state=0),
    skcov.EllipticEnvelope(random_state=0),
]


@pytest.mark.parametrize(("estimator", "expected"), EXACT, ids=repr)
def test_exact_without_a_warning(estimator, expected):
    assert type(select_null(estimator.fit(X), X)) is expected


@pytest.mark.parametrize("estimator", FAST, ids=repr)
def test_shrinkage_is_resampled_from_its_moments(estimator):
    null = select_null(estimator.fit(X), X)
    assert repr(null) == "BootstrapNull(random_state=0)"


@pytest.mark.parametrize(
    ("n", "p", "replicates"),
    [(100, 2000, 999), (600, 400, 60), (1500, 30, 999), (700, 2000, 29), (1500, 2000, None)],
)
def test_large_tables_are_resampled_less_often_or_not_at_all(n, p, replicates):
    rows = np.random.default_rng(1).normal(size=(n, p))
    scatter = fmahal.ShrunkCovariance().fit(rows)
    if replicates is None:
        with pytest.warns(CalibrationWarning, match="would take minutes"):
            assert isinstance(select_null(scatter, rows), ChiSquareNull)
    else:
        assert abs(select_null(scatter, rows).n_resamples - replicates) <= 3


@pytest.mark.parametrize("estimator", RESAMPLED, ids=repr)
def test_anything_else_is_refitted_a_number_of_times_that_the_level_asks_for(estimator):
    estimator.fit(X)
    null = select_null(estimator, X, alpha=0.05)
    assert isinstance(null, BootstrapNull)
    assert (null.kind, null.n_resamples) == ("nonparametric", 100)  # 20 / 0.05 distances of 4 rows each
    assert select_null(estimator, X, alpha=0.2).n_resamples == 25
    assert select_null(estimator, X, alpha=0.9).n_resamples == 10


@pytest.mark.parametrize("estimator", PARAMETRIC, ids=repr)
def test_robust_scatters_are_refitted_to_normal_rows(estimator):
    estimator.fit(X)
    null = select_null(estimator, X, alpha=0.02)
    assert isinstance(null, BootstrapNull)
    assert (null.kind, null.n_resamples) == ("parametric", 25)  # 20 / 0.02 distances of 40 rows each
    assert select_null(estimator, X, alpha=1e-5).n_resamples == 100


def test_chi_square_with_a_warning_where_refits_take_long():
    rows = np.random.default_rng(1).normal(size=(1000, 300))
    scatter = fmahal.FixedScatter("median").fit(rows)
    with pytest.warns(
        CalibrationWarning, match="FixedScatter.*null='bootstrap'.*null='chi2' accepts"
    ) as record:
        null = select_null(scatter, rows)
    assert isinstance(null, ChiSquareNull)
    assert len(record) == 1
    assert record[0].filename == __file__


@pytest.mark.parametrize("n", [4, 9])
def test_chi_square_with_a_warning_where_rows_are_too_few(n):
    # The sample covariance of four rows of three columns has no law to offer.
    scatter = fmahal.LedoitWolf().fit(X[:n])
    with pytest.warns(CalibrationWarning, match=f"{n} rows are too few") as record:
        select_null(scatter, X[:n])
    assert ("use EmpiricalCovariance" in str(record[0].message)) == (n == 9)


def test_a_subclass_of_the_sample_covariance_is_not_taken_for_it():
    class Trimmed(skcov.EmpiricalCovariance):
        def fit(self, X, y=None):
            return super().fit(X[: len(X) // 2])

    assert isinstance(select_null(Trimmed().fit(X), X), BootstrapNull)


def test_the_table_is_the_one_that_is_used():
    table = auto_table()
    assert [set(row) for row in table] == [{"estimator", "condition", "law"}] * len(table)
    for estimator, law in [
        (FAST[0], "BootstrapNull"),
        (PARAMETRIC[0], "parametric"),
        (EXACT[0][0], "NormalTheoryNull"),
    ]:
        line = next(row for row in table if type(estimator).__name__ in row["estimator"])
        assert law in line["law"]


def test_auto_null_is_its_choice():
    scatter = fmahal.EmpiricalCovariance().fit(X)
    d2 = scatter.mahalanobis(X)
    auto = AutoNull().fit(scatter, X, d2)
    direct = NormalTheoryNull().fit(scatter, X, d2)
    np.testing.assert_array_equal(auto.train_dist_.sf(d2), direct.train_dist_.sf(d2))
    np.testing.assert_array_equal(auto.new_dist_.sf(d2), direct.new_dist_.sf(d2))


def test_auto_raises_where_distances_are_constant():
    scatter = skcov.EmpiricalCovariance().fit(X[:4])
    with pytest.raises(RankDeficientError, match="constant"):
        AutoNull().fit(scatter, X[:4], scatter.mahalanobis(X[:4]))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("chi2", ChiSquareNull),
        ("normal", NormalTheoryNull),
        ("auto", NormalTheoryNull),
        (AutoNull(), NormalTheoryNull),
    ],
)
def test_resolve(spec, expected):
    scatter = fmahal.EmpiricalCovariance().fit(X)
    assert type(resolve_null(spec, scatter, X)) is expected


def test_resolve_clones_an_instance():
    spec = ChiSquareNull(df=7)
    null = resolve_null(spec, fmahal.EmpiricalCovariance().fit(X), X)
    assert null is not spec
    assert null.df == 7


def test_resolve_rejects_what_is_no_null():
    scatter = fmahal.EmpiricalCovariance().fit(X)
    with pytest.raises(ValueError, match=r"Unknown null 'chisq'. Available: auto, chi2, normal"):
        resolve_null("chisq", scatter, X)
    for spec in (ChiSquareNull, 3, None):
        with pytest.raises(TypeError, match="null must be one of 'auto', 'chi2', 'normal'"):
            resolve_null(spec, scatter, X)


def test_registry():
    assert {"auto", "chi2", "normal", "robust", "cerioli"} <= set(nulls.names())
    for name in ("auto", "chi2", "normal"):
        entry = nulls[name]
        assert isinstance(entry.factory(), BaseNull)
        assert entry.cost(100, 10) == 0
        assert entry.applies("empirical", 100, 10) is None
    assert "empirical" in nulls["normal"].applies("ledoit-wolf", 100, 10)
    assert "n = 11, p = 10" in nulls["normal"].applies("empirical", 11, 10)
    assert nulls["chi2"].applies("ledoit-wolf", 10, 100) is None


def test_a_null_without_laws_says_so():
    class Empty(BaseNull):
        pass

    scatter = fmahal.EmpiricalCovariance().fit(X)
    with pytest.raises(NotImplementedError, match="Empty defines neither fit nor _laws"):
        Empty().fit(scatter, X, scatter.mahalanobis(X))


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.ExactFitWarning")
@pytest.mark.parametrize(
    "estimator",
    [fmahal.MRCD(), fmahal.OAS(), fmahal.LedoitWolf(), fmahal.QIS(), fmahal.OGK(), skcov.LedoitWolf(), None],
    ids=repr,
)
@pytest.mark.parametrize("n", [10, 20])
def test_equal_rows_end_in_chi_square(estimator, n):
    with pytest.warns(CalibrationWarning, match="The p-values are approximate"):
        detector = fmahal.MahalanobisDetector(estimator).fit(np.ones((n, 3)))
    assert isinstance(detector.null_, ChiSquareNull)
    np.testing.assert_array_equal(detector.pvalues_, 1.0)
    np.testing.assert_array_equal(detector.labels_, 1)
    assert detector.predict([[5.0, 5.0, 5.0]]) == -1


def test_the_law_of_a_robust_filter_has_a_hundred_samples_and_more_for_rare_levels():
    curves = np.cumsum(np.random.default_rng(0).normal(size=(60, 20)), axis=1)
    scatter = fmahal.RobustSpectralFilter().fit(curves)
    usual, rare, rarest = (select_null(scatter, curves, alpha=alpha) for alpha in (0.05, 0.001, 1e-5))
    assert (usual.n_samples, usual.tail) == (100, None)
    assert (rare.n_samples, rare.tail) == (334, None)
    assert 334 < rarest.n_samples < 1000  # as many as are done in time
    assert rarest.tail == "gpd"
