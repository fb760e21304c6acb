"""What every scatter promises: dtypes, names, errors, pickles, whitened coordinates."""

import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn.covariance as skcov
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from strategies import LAYOUTS, lay_out

from fmahal import Whitener, _validation
from fmahal._registry import scatters
from fmahal.exceptions import DenseSizeError
from fmahal.scatter import (
    MRCD,
    OAS,
    OGK,
    QIS,
    EmpiricalCovariance,
    FixedScatter,
    LedoitWolf,
    MinCovDet,
    ScatterFacts,
    ShrunkCovariance,
    WrappedCovariance,
    facts,
    resolve,
)

CLASSICAL = [EmpiricalCovariance, LedoitWolf, OAS, QIS, ShrunkCovariance, FixedScatter]
SCATTERS = [*CLASSICAL, OGK, WrappedCovariance, MRCD]
ALL = [*SCATTERS, partial(MinCovDet, random_state=0)]
SHAPES = [(30, 4), (12, 25)]
pytestmark = pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")


def draw(n, p, seed=0):
    return np.random.default_rng(seed).normal(size=(n, p)) * 2.0 + 1.0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", SCATTERS)
def test_whitened_coordinates(make, shape):
    X, new = draw(*shape), draw(5, shape[1], seed=1)
    scatter = make().fit(X)
    d2 = scatter.mahalanobis(new)
    Z = scatter.transform(new)
    assert Z.shape == (5, scatter.rank_)
    np.testing.assert_allclose((Z**2).sum(axis=1), d2, rtol=1e-10)
    np.testing.assert_allclose(scatter.mahalanobis(new, squared=False) ** 2, d2, rtol=1e-14)
    np.testing.assert_allclose(scatter.transform(scatter.inverse_transform(Z)), Z, rtol=1e-9, atol=1e-9)
    direction = scatter.precision_dot(new)
    np.testing.assert_allclose(((new - scatter.location_) * direction).sum(axis=1), d2, rtol=1e-9)
    np.testing.assert_allclose(
        direction,
        (new - scatter.location_) @ scatter.get_precision(),
        rtol=0,
        atol=1e-9 * np.abs(direction).max(),
    )
    if scatter.rank_ == shape[1]:
        np.testing.assert_allclose(scatter.inverse_transform(Z), new, rtol=1e-9)
        np.testing.assert_array_equal(scatter.residual(new), np.zeros(5))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", SCATTERS)
def test_dtypes(make, shape):
    X = np.round(draw(*shape) * 20)
    wide = make().fit(X)
    expected = wide.mahalanobis(X)
    integers = make().fit(X.astype(int))
    assert integers.mahalanobis(X.astype(int)).dtype == np.float64
    np.testing.assert_array_equal(integers.mahalanobis(X.astype(int)), expected)
    narrow = X.astype(np.float32)
    scatter = make().fit(narrow)
    np.testing.assert_allclose(scatter.location_, wide.location_, rtol=1e-14)
    for method in ("mahalanobis", "transform", "precision_dot", "residual"):
        assert getattr(scatter, method)(narrow).dtype == np.float32
    assert scatter.inverse_transform(scatter.transform(narrow)).dtype == np.float32
    np.testing.assert_allclose(scatter.mahalanobis(narrow), expected, rtol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", SCATTERS)
def test_layouts_and_inputs_left_alone(make, shape, layout):
    X = draw(*shape)
    laid = lay_out(X, layout)
    scatter = make().fit(laid)
    np.testing.assert_array_equal(scatter.mahalanobis(laid), make().fit(X).mahalanobis(X))
    np.testing.assert_array_equal(laid, X)


@pytest.mark.parametrize("make", SCATTERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_pickle_clone_and_blocks(make, shape):
    X = draw(*shape)
    scatter = make().fit(X)
    copy = pickle.loads(pickle.dumps(scatter))
    np.testing.assert_array_equal(copy.mahalanobis(X), scatter.mahalanobis(X))
    assert not hasattr(clone(scatter), "whitener_")
    assert clone(scatter).get_params() == scatter.get_params()


@pytest.mark.parametrize("make", ALL)
def test_unfitted(make):
    scatter = make()
    for name in ("covariance_", "precision_", "location_", "whitener_", "rank_"):
        assert not hasattr(scatter, name)
    with pytest.raises(AttributeError, match="call fit first"):
        scatter.covariance_  # noqa: B018
    for method in ("mahalanobis", "transform", "inverse_transform", "residual", "precision_dot", "score"):
        with pytest.raises(AttributeError, match="not fitted"):
            getattr(scatter, method)(draw(3, 2))


def test_names_of_columns():
    frame = pd.DataFrame(draw(20, 3), columns=["height", "weight", "age"])
    scatter = EmpiricalCovariance().fit(frame)
    assert list(scatter.feature_names_in_) == ["height", "weight", "age"]
    assert list(scatter.get_feature_names_out()) == [f"empiricalcovariance{k}" for k in range(3)]
    whitened = scatter.set_output(transform="pandas").transform(frame)
    assert list(whitened.columns) == list(scatter.get_feature_names_out())
    wide = QIS().fit(draw(5, 9))
    assert len(wide.get_feature_names_out()) == wide.rank_ == 9


@pytest.mark.parametrize("make", ALL)
def test_bad_values_are_located(make):
    frame = pd.DataFrame(draw(20, 3), columns=["height", "weight", "age"])
    scatter = make().fit(frame)
    frame.iloc[7, 1] = np.nan
    frame.iloc[9, 2] = np.inf
    message = "NaN and infinity: 2 entries, in rows 7, 9 and columns weight, age"
    for method in ("fit", "mahalanobis", "transform", "residual", "precision_dot", "score"):
        with pytest.raises(ValueError, match=message):
            getattr(scatter, method)(frame)
    with pytest.raises(ValueError, match="rows 7, 9 and columns 1, 2"):
        make().fit(frame.to_numpy())


@pytest.mark.parametrize("make", ALL)
def test_bad_shapes_and_types(make):
    X = draw(20, 3)
    scatter = make().fit(X)
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        make().fit(scipy.sparse.csr_array(X))
    with pytest.raises(ValueError, match="entries that are not numbers: 'a' in row 0, column 0"):
        make().fit([["a", "b"], ["c", "d"]])
    with pytest.raises(ValueError, match=r"2 features.* 3 features"):
        scatter.mahalanobis(X[:, :2])
    with pytest.raises(ValueError, match="2 columns, expected 3"):
        scatter.inverse_transform(X[:, :2])
    with pytest.raises(ValueError, match="Z contains NaN"):
        scatter.inverse_transform(X * np.nan)
    if make is not FixedScatter:
        with pytest.raises(ValueError, match=r"1 sample.* minimum of 2"):
            make().fit(X[:1])


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (
            EmpiricalCovariance(assume_centered="no"),
            "assume_centered of EmpiricalCovariance must be True or False",
        ),
        (QIS(store_precision=1), "store_precision of QIS must be True or False"),
        (LedoitWolf(block_size=0), "block_size"),
        (OAS(formula="R"), 'must be "sklearn" or "paper"'),
        (ShrunkCovariance(shrinkage=1.5), "shrinkage must be a number, between 0 and 1"),
        (ShrunkCovariance(shrinkage=np.nan), "shrinkage must be a number"),
        (ShrunkCovariance(ridge=-1.0), "ridge must be a number, finite and not negative"),
        (ShrunkCovariance(ridge=np.inf), "ridge must be a number, finite"),
        (ShrunkCovariance(shrinkage=0.3, ridge=0.3), "Set one of them"),
    ],
)
def test_bad_parameters(estimator, message):
    with pytest.raises(ValueError, match=message):
        estimator.fit(draw(10, 2))


@pytest.mark.parametrize("shape", SHAPES)
def test_ridge_adds(shape):
    X = draw(*shape)
    S = np.cov(X.T, bias=True)
    scatter = ShrunkCovariance(ridge=2.0).fit(X)
    expected = S + 2.0 * np.trace(S) / shape[1] * np.eye(shape[1])
    np.testing.assert_allclose(scatter.covariance_, expected, rtol=0, atol=1e-12 * np.abs(S).max())
    same_shape = ShrunkCovariance(shrinkage=2.0 / 3.0).fit(X)
    assert scatter.shrinkage_ == pytest.approx(same_shape.shrinkage_, rel=1e-15)
    np.testing.assert_allclose(3.0 * scatter.mahalanobis(X), same_shape.mahalanobis(X), rtol=1e-10)


def test_divisors():
    X = draw(20, 3)
    assert [make().fit(X).ddof_ for make in CLASSICAL] == [0, 0, 0, 1, 0, 0]
    assert QIS(assume_centered=True).fit(X).ddof_ == 0
    assert QIS().fit(X).eigenvalues_.sum() == pytest.approx(np.trace(np.cov(X.T)), rel=1e-13)


def test_dense_matrices_are_refused_when_too_large(monkeypatch):
    scatter = LedoitWolf().fit(draw(5, 200))
    monkeypatch.setattr(_validation, "_memory_limit", lambda: 200 * 200 * 8.0 - 1)
    for call in (
        lambda: scatter.covariance_,
        lambda: scatter.precision_,
        lambda: scatter.error_norm(np.eye(2)),
    ):
        with pytest.raises(DenseSizeError, match="200 x 200"):
            call()
    assert np.isfinite(scatter.mahalanobis(draw(5, 200))).all()


def test_registry():
    names = scatters.names()
    assert [n for n in names if n in {"empirical", "ledoit-wolf", "oas", "qis", "shrunk", "mcd"}] == [
        "empirical",
        "ledoit-wolf",
        "oas",
        "qis",
        "shrunk",
        "mcd",
    ]
    assert scatters["shrunk"].factory(ridge=0.2).ridge == 0.2
    assert scatters["empirical"].applies(10, 8) is None
    assert scatters["empirical"].applies(10, 9) == (
        "needs at least p + 2 rows: p + 1 rows all have the same distance (n = 10, p = 9)"
    )
    assert scatters["empirical"].applies(10, 20) == "needs more rows than columns (n = 10, p = 20)"
    assert scatters["qis"].applies(10, 20) is None
    assert scatters["mcd"].applies(10, 9) == "needs at least p + 2 rows (n = 10, p = 9); MRCD does not"
    assert scatters["mcd"].applies(10, 8) is None


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (EmpiricalCovariance(), ScatterFacts(30, 4, 0, False, "empirical", False, False)),
        (EmpiricalCovariance(assume_centered=True), ScatterFacts(30, 4, 0, True, "empirical", False, False)),
        (LedoitWolf(), ScatterFacts(30, 4, 0, False, "ledoit-wolf", True, False)),
        (OAS(), ScatterFacts(30, 4, 0, False, "oas", True, False)),
        (QIS(), ScatterFacts(30, 4, 1, False, "qis", True, False)),
        (ShrunkCovariance(), ScatterFacts(30, 4, 0, False, "shrunk", True, False)),
        (MinCovDet(method="deterministic"), ScatterFacts(30, 4, 1, False, "mcd", False, True)),
        (OGK(), ScatterFacts(30, 4, 0, False, "ogk", False, True)),
        (FixedScatter(), ScatterFacts(30, 4, 0, False, "fixed", True, False)),
        (FixedScatter([0.0] * 4), ScatterFacts(30, 4, 0, True, "fixed", True, False)),
        (skcov.EmpiricalCovariance(), ScatterFacts(30, 4, 0, False, "empirical", False, False)),
        (skcov.LedoitWolf(assume_centered=True), ScatterFacts(30, 4, 0, True, "ledoit-wolf", True, False)),
        (skcov.OAS(), ScatterFacts(30, 4, 0, False, "oas", True, False)),
        (skcov.ShrunkCovariance(), ScatterFacts(30, 4, 0, False, "shrunk", True, False)),
        (skcov.MinCovDet(random_state=0), ScatterFacts(30, 4, 0, False, "mcd", False, True)),
        (skcov.EllipticEnvelope(random_state=0), ScatterFacts(30, 4, 0, False, "mcd", False, True)),
        (skcov.GraphicalLasso(), ScatterFacts(30, 4, 0, False, "other", True, False)),
    ],
    ids=lambda value: str(value) if not isinstance(value, ScatterFacts) else "",
)
def test_facts(estimator, expected):
    X = draw(30, 4)
    assert facts(estimator.fit(X), X) == expected


def test_facts_of_singular_and_foreign_estimators():
    X = draw(30, 4)
    X[:, 3] = X[:, 0] * 1e6
    assert facts(EmpiricalCovariance().fit(X)).rank == 3
    assert facts(skcov.EmpiricalCovariance().fit(X), X).rank == 3
    with pytest.raises(ValueError, match="pass the training rows"):
        facts(skcov.EmpiricalCovariance().fit(X))

    class Foreign:
        location_ = np.zeros(4)

        def get_precision(self):
            return np.eye(4)

    assert facts(Foreign(), X) == ScatterFacts(30, 4, 0, False, "other", False, False)


def test_subclasses_of_scikit_learn_are_not_taken_for_their_parents():
    class Trimmed(skcov.EmpiricalCovariance):
        def fit(self, X, y=None):
            return super().fit(X[2:])

    X = draw(30, 4)
    assert facts(Trimmed().fit(X), X).kind == "other"


def test_resolve():
    scatter = EmpiricalCovariance()
    assert resolve(scatter) == (None, scatter)
    pipeline = make_pipeline(StandardScaler(), scatter).fit(draw(20, 3))
    space, last = resolve(pipeline)
    assert last is scatter
    assert space.steps[0][1] is pipeline.steps[0][1]
    assert space.transform(draw(2, 3)).shape == (2, 3)
    assert resolve(make_pipeline(scatter)) == (None, scatter)
    nested = make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), skcov.LedoitWolf()))
    space, last = resolve(nested)
    assert len(space.steps) == 2
    assert isinstance(last, skcov.LedoitWolf)
    space.fit(draw(20, 3))
    inside = make_pipeline(make_pipeline(StandardScaler(), make_pipeline(StandardScaler())), scatter).fit(
        draw(20, 3)
    )
    space, last = resolve(inside)
    assert [name for name, _ in space.steps] == ["standardscaler-0", "standardscaler-1"]
    assert space.steps[0][1] is inside[0][0]
    assert last is scatter
    for bad in (StandardScaler(), make_pipeline(StandardScaler()), Whitener.from_covariance(np.eye(2)), None):
        with pytest.raises(TypeError, match="must be a scatter"):
            resolve(bad)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.filterwarnings("error")
def test_named_columns_cause_no_warnings(make):
    frame = pd.DataFrame(draw(20, 3), columns=["height", "weight", "age"])
    scatter = make().fit(frame)
    for method in ("mahalanobis", "transform", "residual", "precision_dot", "score"):
        getattr(scatter, method)(frame)
