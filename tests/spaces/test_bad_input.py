"""What is wrong with curves is said by name: which curve, which point, what differs from the fit."""

import numpy as np
import pytest

from fmahal.spaces import L2Space, SobolevSpace

T = np.linspace(0, 1, 6)
SPACES = [L2Space, SobolevSpace]


def rows(n=4, size=6):
    return np.random.default_rng(0).standard_normal((n, size))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("bad", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
@pytest.mark.parametrize("method", ["fit", "fit_transform", "transform"])
def test_nan_names_curve_and_t(space, bad, word, method):
    X = rows()
    X[2, 3] = bad
    fitted = space(grid_points=T).fit(rows())
    with pytest.raises(ValueError, match=rf"X contains {word} in curve 2 at t = 0\.6; 1 curve"):
        getattr(fitted, method)(X)


def test_nan_names_component_and_point_of_surfaces():
    X = np.zeros((3, 4, 2))
    X[1, 2, 1] = np.nan
    with pytest.raises(ValueError, match=r"curve 1 at t = 0\.6666666667, component 1"):
        L2Space().fit(X)
    with pytest.raises(ValueError, match=r"curve 1 at t = \(2, 6\)"):
        L2Space(grid_points=(np.arange(4), [5, 6])).fit(X)


def test_infinities_of_both_signs_are_reported_without_a_warning():
    X = rows()
    X[1, 1], X[3, 2] = np.inf, -np.inf
    with pytest.raises(ValueError, match=r"infinity in curve 1 at t = 0.2; 2 curve"):
        SobolevSpace().fit_transform(X)


def test_overflow_of_the_coordinates():
    X = rows()
    X[1] = 1e308 * np.array([1, -1, 1, -1, 1, -1])
    with pytest.raises(ValueError, match="coordinates of curve 1 overflow"):
        SobolevSpace(2).fit_transform(X)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ([0, 1, 1, 2, 3, 4], r"increase strictly: point 2 is 1, after 1 at point 1"),
        ([0, 1, 3, 2, 4, 5], r"increase strictly: point 3 is 2, after 3 at point 2"),
        ([5, 4, 3, 2, 1, 0], "increase strictly: point 1"),
        ([0, 1, np.nan, 3, 4, 5], "must be finite: point 2 is nan"),
        ([0.5], "1 grid point.* at least two"),
        ([], "0 grid point.* at least two"),
        ([0, 1j, 2, 3, 4, 5], "grid_points is complex"),
        (["a", "b", "c", "d", "e", "f"], "increasing vector of numbers"),
        (0.5, "increasing vector, got shape"),
    ],
)
def test_bad_grids(space, grid, message):
    with pytest.raises(ValueError, match=message):
        space(grid_points=grid).fit(rows())


def test_bad_axis_of_a_surface_is_named():
    with pytest.raises(ValueError, match=r"grid_points\[1\] must increase strictly"):
        L2Space(grid_points=([0, 1], [0, 2, 1])).fit(np.zeros((2, 2, 3)))


def test_one_point_without_a_grid():
    with pytest.raises(ValueError, match="1 grid point"):
        L2Space().fit(np.zeros((3, 1)))


def test_derivatives_need_points():
    with pytest.raises(ValueError, match="A derivative of order 2 needs at least 3 grid points, got 2"):
        L2Space(derivative=2).fit(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="A derivative of order 2 needs at least 3 grid points, got 2"):
        SobolevSpace(2).fit(np.zeros((3, 2)))


@pytest.mark.parametrize("bad", [-1, 0.5, True, "first"])
def test_bad_derivative(bad):
    with pytest.raises(ValueError, match="derivative must be an integer of at least 0"):
        L2Space(derivative=bad).fit(rows())


@pytest.mark.parametrize("space", SPACES)
def test_shapes_that_do_not_fit_the_grid(space):
    with pytest.raises(ValueError, match=r"shape \(4, 5\), and grid_points asks for \(n, 6\)"):
        space(grid_points=T).fit(rows(size=5))
    with pytest.raises(ValueError, match=r"asks for \(n, 6, 2\)"):
        space(grid_points=(T, [0, 1])).fit(rows())
    with pytest.raises(ValueError, match=r"For surfaces pass grid_points"):
        space().fit(np.zeros((2, 3, 4, 5)))
    with pytest.raises(ValueError, match=r"got shape|asks for"):
        space(grid_points=T).fit(np.zeros((2, 6, 0)))


@pytest.mark.parametrize("space", SPACES)
def test_complex_and_object_values(space):
    with pytest.raises(ValueError, match="Complex data not supported"):
        space().fit(rows() + 1j)
    with pytest.raises(ValueError, match="Complex data not supported: X is complex"):
        space().fit(np.zeros((3, 4, 2), dtype=complex))
    words = np.array([["a", "b"], ["c", "d"]], dtype=object)
    with pytest.raises(ValueError, match="dtype object: curves must be numbers"):
        space().fit(words)
    with pytest.raises(ValueError, match="curves must be numbers"):
        space().fit(np.array([["a", "b"], ["c", "d"]]))
    with pytest.raises(ValueError, match="dtype object: curves must be numbers"):
        space().fit(np.array([[[1], ["x"]]], dtype=object))
    ragged = np.empty(2, dtype=object)
    ragged[:] = [np.arange(3.0), np.arange(4.0)]
    with pytest.raises(ValueError, match="different lengths"):
        space().fit(ragged)
    with pytest.raises(ValueError, match=r"curves have different lengths.*FDataIrregular"):
        space().fit([[1.0, 2.0], [1.0, 2.0, 3.0]])


@pytest.mark.parametrize("space", SPACES)
def test_arrays_that_differ_from_the_fit(space):
    fitted = space(grid_points=T).fit(rows())
    with pytest.raises(ValueError, match=r"X has 5 features, but \w+ is expecting 6"):
        fitted.transform(rows(size=5))
    with pytest.raises(ValueError, match=r"2 component.* fit had 1"):
        fitted.transform(np.zeros((3, 6, 2)))
    vector = space(grid_points=T).fit(np.zeros((3, 6, 2)))
    with pytest.raises(ValueError, match=r"3 component.* fit had 2"):
        vector.transform(np.zeros((3, 6, 3)))
    with pytest.raises(ValueError, match=r"asks for \(n, 6\)"):
        vector.transform(np.zeros((3, 5, 2)))
    with pytest.raises(ValueError, match=r"1 component.* fit had 2"):
        vector.transform(np.zeros((3, 6)))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"weights": "gauss"}, 'weights must be "trapezoid", "simpson" or positive'),
        ({"weights": [1, 1, 0, 1, 1, 1]}, "weights of the grid must be positive and finite; position 2"),
        ({"weights": [1, 1, np.nan, 1, 1, 1]}, "position 2 holds nan"),
        ({"weights": np.ones(5)}, r"weights of the grid must have shape \(6,\), got \(5,\)"),
        ({"weights": None}, "weights of the grid"),
        ({"weights": [T, T]}, "one array for each of 1 arguments, got 2"),
        ({"domain_weight": -np.ones(6)}, "domain weight must be positive"),
        ({"domain_weight": np.ones(4)}, r"domain weight must have shape \(6,\)"),
        ({"domain_weight": lambda t: t}, "domain weight must be positive and finite; position 0"),
        ({"component_weights": [1.0, 2.0]}, r"component_weights must have shape \(1,\), got \(2,\)"),
        ({"component_weights": [0.0]}, "component_weights must be positive"),
        ({"component_weights": "x"}, "component_weights must be positive numbers"),
    ],
)
@pytest.mark.parametrize("space", SPACES)
def test_bad_weights(space, keywords, message):
    with pytest.raises(ValueError, match=message):
        space(grid_points=T, **keywords).fit(rows())


def test_simpson_is_refused_where_a_weight_is_not_positive():
    t = [0.0, 0.1, 1.0, 1.1, 2.0, 2.1, 3.0]
    with pytest.raises(
        ValueError, match=r"gives point 0 of the grid the weight -.* no inner product.*trapezoid"
    ):
        L2Space(grid_points=t, weights="simpson").fit(rows(size=7))
    L2Space(grid_points=t).fit(rows(size=7))


@pytest.mark.parametrize("weights", ["simpson", np.ones(6)])
def test_derivatives_have_weights_of_their_own(weights):
    with pytest.raises(ValueError, match="derivatives live on the cells"):
        L2Space(derivative=1, weights=weights).fit(rows())


def test_a_basis_for_arrays_is_refused():
    with pytest.raises(ValueError, match="smooths irregularly observed curves"):
        L2Space(basis=object()).fit(rows())


@pytest.mark.parametrize("space", SPACES)
def test_the_way_back(space):
    fitted = space().fit(rows())
    width = fitted.n_features_out_
    with pytest.raises(ValueError, match=f"Z has {width + 1} columns, expected {width}"):
        fitted.inverse_transform(np.zeros((2, width + 1)))
    Z = np.zeros((2, width))
    Z[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"Z contains NaN.* rows 1 and columns 2"):
        fitted.inverse_transform(Z)
    with pytest.raises(ValueError, match="one shape"):
        fitted.split_contributions(np.zeros((2, width)), np.zeros((3, width)))


# -------------------------------------------------------------------- scikit-fda


def grid_data(values=None, t=T, **keywords):
    skfda = pytest.importorskip("skfda")
    return skfda.FDataGrid(rows() if values is None else values, t, **keywords)


@pytest.mark.parametrize("space", SPACES)
def test_fdatagrid(space):
    X = rows()
    X[1, 4] = np.nan
    with pytest.raises(ValueError, match=r"NaN in curve 1 at t = 0\.8"):
        space().fit(grid_data(X))
    fitted = space().fit(grid_data())
    with pytest.raises(ValueError, match=r"NaN in curve 1 at t = 0\.8"):
        fitted.transform(grid_data(X))
    with pytest.raises(ValueError, match=r"first at point 1: 0\.25 now, 0\.2 then"):
        fitted.transform(grid_data(t=[0, 0.25, 0.4, 0.6, 0.8, 1]))
    with pytest.raises(ValueError, match="5 points now, 6 then"):
        fitted.transform(grid_data(rows(size=5), np.linspace(0, 1, 5)))
    with pytest.raises(ValueError, match=r"domain of the curves is \[0, 2\]; the fit saw \[0, 1\]"):
        fitted.transform(grid_data(domain_range=(0, 2)))
    with pytest.raises(ValueError, match=r"2 component.* fit had 1"):
        fitted.transform(grid_data(np.zeros((3, 6, 2))))
    with pytest.raises(ValueError, match=r"2 argument.* had 1"):
        fitted.transform(grid_data(np.zeros((3, 6, 2)), (T, [0, 1])))
    with pytest.raises(ValueError, match=r"X is a plain array .* fitted to an FDataGrid"):
        fitted.transform(rows())
    with pytest.raises(ValueError, match=r"X is an FDataGrid .* fitted to a plain array"):
        space().fit(rows()).transform(grid_data())
    with pytest.raises(ValueError, match="increase strictly"):
        space().fit(grid_data(t=[0, 1, 2, 2, 3, 4]))
    with pytest.raises(ValueError, match="1 grid point"):
        space().fit(grid_data(np.zeros((3, 1)), [0.5]))
    X = grid_data()
    X.data_matrix = X.data_matrix + 1j  # its constructor refuses that with a bare AssertionError
    with pytest.raises(ValueError, match=r"X.data_matrix is complex"):
        space().fit(X)
    with pytest.raises(ValueError, match="differs from that of grid_points="):
        space(grid_points=2 * T).fit(grid_data())
    with pytest.raises(ValueError, match="holds no curves"):
        space().fit(grid_data()[:0])


@pytest.mark.parametrize("space", SPACES)
def test_fdatabasis(space):
    skfda = pytest.importorskip("skfda")
    from skfda.representation.basis import BSplineBasis, FourierBasis, VectorValuedBasis

    def data(basis, values=1.0):
        return skfda.FDataBasis(basis, np.full((3, basis.n_basis), values))

    fitted = space().fit(data(BSplineBasis(n_basis=5)))
    with pytest.raises(
        ValueError, match="BSplineBasis of 6 functions, those of the fit in a BSplineBasis of 5"
    ):
        fitted.transform(data(BSplineBasis(n_basis=6)))
    with pytest.raises(ValueError, match="FourierBasis of 5 functions"):
        fitted.transform(data(FourierBasis(n_basis=5)))
    with pytest.raises(ValueError, match="other knots, period or parts"):
        fitted.transform(data(BSplineBasis(knots=[0, 0.3, 1])))
    with pytest.raises(ValueError, match=r"domain of the curves is \[0, 3\]; the fit saw \[0, 1\]"):
        fitted.transform(data(BSplineBasis(domain_range=(0, 3), n_basis=5)))
    with pytest.raises(ValueError, match="2 component"):
        fitted.transform(data(VectorValuedBasis([BSplineBasis(n_basis=5)] * 2)))
    with pytest.raises(ValueError, match=r"X is an FDataGrid .* fitted to an FDataBasis"):
        fitted.transform(grid_data())
    X = data(BSplineBasis(n_basis=5))
    X.coefficients[2, 1] = np.nan
    with pytest.raises(ValueError, match="NaN in curve 2 at coefficient 1"):
        fitted.transform(X)
    X.coefficients = X.coefficients + 1j
    with pytest.raises(ValueError, match=r"X.coefficients is complex"):
        space().fit(X)
    with pytest.raises(ValueError, match="is not the basis of X"):
        space(basis=FourierBasis(n_basis=5)).fit(data(BSplineBasis(n_basis=5)))
    with pytest.raises(ValueError, match="smooths irregularly observed curves, and X is an FDataGrid"):
        space(basis=FourierBasis(n_basis=5)).fit(grid_data())
