"""Spaces among scikit-learn's tools: pipelines, clones, pickles, frames, subsets of curves; and without scikit-fda."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import _safe_indexing

from fmahal.scatter import LedoitWolf
from fmahal.spaces import L2Space, SobolevSpace, is_fdata

T = np.linspace(0, 2, 9)
ROWS = np.random.default_rng(0).standard_normal((20, 9)).cumsum(axis=1)


def data(kind):
    if kind == "array":
        return ROWS
    skfda = pytest.importorskip("skfda")
    if kind == "grid":
        return skfda.FDataGrid(ROWS, T)
    from skfda.representation import FDataIrregular
    from skfda.representation.basis import FourierBasis

    if kind == "basis":
        return skfda.FDataGrid(ROWS, T).to_basis(FourierBasis(domain_range=(0, 2), n_basis=5))
    return FDataIrregular(np.arange(20) * 9, np.tile(T, 20), ROWS.ravel())


def space_for(kind, cls):
    if kind != "irregular":
        return cls()
    from skfda.representation.basis import BSplineBasis

    return cls(basis=BSplineBasis(domain_range=(0, 2), n_basis=5))


@pytest.mark.parametrize("kind", ["array", "grid", "basis", "irregular"])
@pytest.mark.parametrize("cls", [L2Space, SobolevSpace])
def test_in_a_pipeline(kind, cls):
    X = data(kind)
    pipeline = make_pipeline(space_for(kind, cls), LedoitWolf())
    copy = clone(pipeline).fit(X)
    whitened = copy.transform(X)
    assert len(whitened) == 20
    back = pickle.loads(pickle.dumps(copy))
    np.testing.assert_array_equal(back.transform(X), whitened)
    returned = copy.inverse_transform(whitened)
    if kind == "array":
        assert isinstance(returned, np.ndarray)
    else:
        assert type(returned) is (type(X) if kind != "irregular" else type(data("basis")))
    np.testing.assert_allclose(copy.transform(returned), whitened, rtol=1e-7, atol=1e-8)
    half = _safe_indexing(X, np.arange(10))
    np.testing.assert_allclose(copy.transform(half), whitened[:10], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", ["array", "grid"])
def test_cross_validation(kind):
    scores = cross_val_score(make_pipeline(L2Space(), LedoitWolf()), data(kind), cv=4)
    assert np.isfinite(scores).all()


def test_all_kinds_of_one_sample_agree():
    array = L2Space(grid_points=T).fit_transform(ROWS)
    np.testing.assert_allclose(L2Space().fit_transform(data("grid")), array, rtol=1e-13)
    assert L2Space().fit(data("grid")).kind_ == "grid"
    basis = L2Space().fit_transform(data("basis"))
    irregular = space_for("irregular", L2Space)
    from skfda.representation.basis import FourierBasis

    irregular.set_params(basis=FourierBasis(domain_range=(0, 2), n_basis=5))
    Z = irregular.fit_transform(data("irregular"))
    np.testing.assert_allclose(Z @ Z.T, basis @ basis.T, rtol=1e-9, atol=1e-9)


def test_fitting_does_not_change_parameters():
    grid = tuple(T)
    space = L2Space(grid_points=grid, component_weights=[2.0])
    space.fit(ROWS)
    assert space.get_params()["grid_points"] is grid
    assert clone(space).get_params()["grid_points"] == grid


def test_data_frames_keep_their_names_checked():
    frame = pd.DataFrame(ROWS, columns=[f"t{j}" for j in range(9)])
    space = L2Space().fit(frame)
    assert list(space.feature_names_in_) == list(frame.columns)
    np.testing.assert_array_equal(space.transform(frame), L2Space().fit_transform(ROWS))
    with pytest.raises(ValueError, match="feature names"):
        space.transform(frame[frame.columns[::-1]])
    out = L2Space().set_output(transform="pandas").fit_transform(frame)
    assert out.columns[1] == "t=0.125"


def test_a_grid_may_be_handed_over_as_scikit_fda_holds_it():
    X = data("grid")
    Z = L2Space(grid_points=X.grid_points).fit_transform(ROWS)
    np.testing.assert_array_equal(Z, L2Space(grid_points=T).fit_transform(ROWS))
    np.testing.assert_array_equal(Z, L2Space(grid_points=list(T)).fit_transform(ROWS))
    np.testing.assert_array_equal(Z, L2Space(grid_points=(T,)).fit_transform(ROWS))


def test_what_is_functional_data():
    for kind in ("grid", "basis", "irregular"):
        assert is_fdata(data(kind))
    for other in (ROWS, [1.0], None, pd.DataFrame(ROWS), "FDataGrid", data("grid").data_matrix):
        assert not is_fdata(other)


def test_other_functional_data_is_refused():
    pytest.importorskip("skfda")
    from skfda.representation import FData

    class Strange(FData):
        pass

    Strange.__abstractmethods__ = frozenset()
    strange = Strange.__new__(Strange)
    assert is_fdata(strange)
    with pytest.raises(TypeError, match="X is a Strange: convert it to FDataGrid"):
        L2Space().fit(strange)


def test_a_second_fit_forgets_the_first():
    space = L2Space().fit(pd.DataFrame(ROWS, columns=[f"t{j}" for j in range(9)]))
    space.fit(data("grid"))
    assert space.kind_ == "grid"
    assert not hasattr(space, "n_features_in_")
    assert not hasattr(space, "feature_names_in_")
    assert space.get_feature_names_out()[1] == "t=0.25"
    space.fit(np.zeros((2, 4, 3)))
    assert space.n_features_in_ == 12
    assert space.transform(np.ones((1, 4, 3))).shape == (1, 12)
