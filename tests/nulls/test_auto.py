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
    ChiSquareNull,
    NormalTheoryNull,
    RobustNull,
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
APPROXIMATE = [
    (fmahal.LedoitWolf(), "LedoitWolf"),
    (fmahal.OAS(), "OAS"),
    (fmahal.QIS(), "QIS"),
    (fmahal.ShrunkCovariance(), "ShrunkCovariance"),
    (fmahal.FixedScatter("median"), "FixedScatter"),
    (fmahal.FixedScatter("median", covariance=np.eye(3)), "FixedScatter"),
    (skcov.LedoitWolf(), "LedoitWolf"),
    (skcov.MinCovDet(random_state=0), "MinCovDet"),
    (skcov.EllipticEnvelope(random_state=0), "EllipticEnvelope"),
    (skcov.GraphicalLasso(), "GraphicalLasso"),
    (make_pipeline(PCA(2), fmahal.EmpiricalCovariance()), "PCA"),
    (make_pipeline(PCA(2), MinCovDet(random_state=0)), "MinCovDet"),
    (make_pipeline(MinMaxScaler(clip=True), fmahal.EmpiricalCovariance()), "MinMaxScaler"),
    (
        make_pipeline(StandardScaler(), fmahal.FixedScatter(np.zeros(3), covariance=np.eye(3))),
        "StandardScaler",
    ),
]


@pytest.mark.parametrize(("estimator", "expected"), EXACT, ids=repr)
def test_exact_without_a_warning(estimator, expected):
    assert type(select_null(estimator.fit(X), X)) is expected


@pytest.mark.parametrize(("estimator", "name"), APPROXIMATE, ids=repr)
def test_chi_square_with_a_warning_that_names_the_reason(estimator, name):
    estimator.fit(X)
    with pytest.warns(
        CalibrationWarning, match=rf"approximate: .*{name}.*chi-square.*null='chi2' accepts"
    ) as record:
        null = select_null(estimator, X)
    assert isinstance(null, ChiSquareNull)
    assert len(record) == 1
    assert record[0].filename == __file__


@pytest.mark.parametrize("n", [3, 30])
def test_the_way_out_is_one_that_exists(n):
    # The sample covariance of three rows of three columns has no law to offer.
    scatter = fmahal.LedoitWolf().fit(X[:n])
    with pytest.warns(CalibrationWarning) as record:
        select_null(scatter, X[:n])
    assert ("use EmpiricalCovariance" in str(record[0].message)) == (n == 30)


def test_a_subclass_of_the_sample_covariance_is_not_taken_for_it():
    class Trimmed(skcov.EmpiricalCovariance):
        def fit(self, X, y=None):
            return super().fit(X[: len(X) // 2])

    with pytest.warns(CalibrationWarning, match="Trimmed"):
        assert isinstance(select_null(Trimmed().fit(X), X), ChiSquareNull)


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
