"""Errors say what is wrong and where, and an update that fails changes nothing."""

import re

import numpy as np
import pytest
from scipy import sparse

from fmahal import EmpiricalCovariance
from fmahal.online import AdaptiveMahalanobisIndex

N, P, M, K = 12, 9, 7, 4
NAN = float("nan")
FAR = np.resize([[1e38], [-1e38]], (N, P)).astype(np.float32)


def make(X=None, U="wide", **kwargs):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, P)) if X is None else X
    U = rng.standard_normal((M, P)) if isinstance(U, str) else U
    options = {"n_components": K, "n_sketches": 3, "sample_size": 2, "random_state": 7} | kwargs
    return AdaptiveMahalanobisIndex(U, **options).fit(X)


def snapshot(index):
    store = index._store
    arrays = [store.points, store.sketched, store.folded, store.metric.transform(np.eye(P)), store.ids]
    return [np.array(a) for a in arrays], dict(store._slots), store.n, store._next_id


def assert_unchanged(index, before):
    arrays, *rest = snapshot(index)
    for now, then in zip(arrays, before[0], strict=True):
        np.testing.assert_array_equal(now, then)
    assert tuple(rest) == before[1:]


# -------------------------------------------------------------------- fit


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"n_components": 8}, "exceeds min(m, n_features) = 7: .* Exact distances are cheaper"),
        ({"n_components": 10, "U": None}, "exceeds min(m, n_features) = 9: .* Exact distances are cheaper"),
        ({"n_components": 0}, "n_components must be a positive integer, got 0"),
        ({"n_components": 2.0}, "n_components must be a positive integer, got 2.0"),
        ({"n_sketches": True}, "n_sketches must be a positive integer"),
        ({"n_sketches": -1}, "n_sketches must be a positive integer"),
        ({"sample_size": 0}, "sample_size must be a positive integer"),
        ({"sample_size": 4}, "sample_size = 4 exceeds n_sketches = 3"),
        ({"kind": "fourier"}, "kind must be one of 'gaussian', .*, got 'fourier'"),
        ({"random_state": -1}, "random_state must be non-negative"),
        ({"random_state": "x"}, "random_state takes"),
        ({"U": np.ones((3, P + 1))}, "metric_factor has 10 columns, but X has 9"),
        ({"U": np.full((M, P), NAN)}, "metric_factor contains NaN"),
        ({"U": sparse.eye_array(P)}, "metric_factor is sparse"),
        ({"U": np.ones((2, 2, P))}, "metric_factor must be a vector or an .* array"),
        ({"U": [["a"] * P] * M}, "metric_factor holds values that are not numbers"),
        ({"X": np.full((N, P), np.inf)}, "X contains infinity"),
        ({"X": np.zeros((0, P))}, "0 sample"),
        ({"X": np.zeros(P)}, "1D array"),
        (
            {
                "X": np.full((N, P), 1e38, np.float32) * np.resize([[1], [-1]], (N, 1)).astype("f4"),
                "U": np.full((M, P), 1e6),
            },
            "overflow float32",
        ),
        ({"X": np.ones((N, P), np.float32), "U": np.full((M, P), 1e300)}, "overflow float32"),
    ],
)
def test_fit(kwargs, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        make(**kwargs)


def test_a_failed_fit_leaves_the_fitted_index():
    index = make()
    before = snapshot(index)
    with pytest.raises(ValueError, match="exceeds"):
        index.set_params(n_components=50).fit(np.ones((3, P)))
    assert_unchanged(index, before)


# -------------------------------------------------------------------- updates


def with_entry(shape, value):
    array = np.ones(shape)
    array.flat[-1] = value
    return array


UPDATES = {
    "u short": (
        lambda i: i.update_metric(np.ones(M - 1), np.ones(P)),
        ValueError,
        r"u must have shape \(7,\)",
    ),
    "v long": (
        lambda i: i.update_metric(np.ones(M), np.ones(P + 1)),
        ValueError,
        r"v must have shape \(9,\)",
    ),
    "swapped": (lambda i: i.update_metric(np.ones(P), np.ones(M)), ValueError, "u must have shape"),
    "ranks": (
        lambda i: i.update_metric(np.ones((M, 2)), np.ones((P, 3))),
        ValueError,
        "u has 2 columns and v has 3",
    ),
    "rank 0": (lambda i: i.update_metric(np.ones((M, 0)), np.ones((P, 0))), ValueError, "u must have shape"),
    "scalar": (lambda i: i.update_metric(1.0, np.ones(P)), ValueError, "u must have shape"),
    "u nan": (
        lambda i: i.update_metric(with_entry(M, NAN), np.ones(P)),
        ValueError,
        "u contains NaN at position 6",
    ),
    "v inf": (
        lambda i: i.update_metric(np.ones(M), with_entry(P, np.inf)),
        ValueError,
        "v contains infinity",
    ),
    "u sparse": (lambda i: i.update_metric(sparse.eye_array(M), np.ones((P, M))), ValueError, "u is sparse"),
    "u text": (lambda i: i.update_metric(["a"] * M, np.ones(P)), ValueError, "not numbers"),
    "overflow": (
        lambda i: i.update_metric(np.full(M, 1e200), np.full(P, 1e200)),
        ValueError,
        "overflow float64",
    ),
    "row M": (
        lambda i: i.update_metric_rows([0, M], np.ones((2, P))),
        IndexError,
        "no row 7; its rows are 0 to 6",
    ),
    "row -1": (lambda i: i.update_metric_rows([-1], np.ones((1, P))), IndexError, "no row -1"),
    "row twice": (lambda i: i.update_metric_rows([1, 1], np.ones((2, P))), ValueError, "a row twice"),
    "row float": (
        lambda i: i.update_metric_rows([1.0], np.ones((1, P))),
        IndexError,
        "rows must be an integer",
    ),
    "row mask": (
        lambda i: i.update_metric_rows([True], np.ones((1, P))),
        IndexError,
        "rows must be an integer",
    ),
    "values": (
        lambda i: i.update_metric_rows([1, 2], np.ones((3, P))),
        ValueError,
        r"values must have shape \(2, 9\)",
    ),
    "values vector": (lambda i: i.update_metric_rows([1], np.ones(P)), ValueError, r"shape \(1, 9\)"),
    "values sparse": (
        lambda i: i.update_metric_rows([1], sparse.csr_array((2, P))),
        ValueError,
        r"shape \(1, 9\)",
    ),
    "values nan": (
        lambda i: i.update_metric_rows([1], with_entry((1, P), NAN)),
        ValueError,
        "values contains NaN",
    ),
    "nonzeros nan": (
        lambda i: i.update_metric_rows([1], sparse.csr_array(with_entry((1, P), NAN))),
        ValueError,
        "nonzeros of values contains NaN",
    ),
    "complex": (
        lambda i: i.update_metric_rows([1], sparse.csr_array(np.ones((1, P)) * 1j)),
        ValueError,
        "real numbers",
    ),
    "rows overflow": (
        lambda i: i.update_metric_rows([1], np.full((1, P), 1.7e308)),
        ValueError,
        "overflow float64",
    ),
    "point unknown": (lambda i: i.update_point(N, np.ones(P)), IndexError, "no point 12"),
    "point -1": (lambda i: i.update_point(-1, np.ones(P)), IndexError, "no point -1"),
    "point float": (lambda i: i.update_point(1.0, np.ones(P)), IndexError, "no point 1.0"),
    "point bool": (lambda i: i.update_point(True, np.ones(P)), IndexError, "no point True"),
    "z short": (
        lambda i: i.update_point(0, np.ones(P - 1)),
        ValueError,
        r"z must have shape \(9,\), got \(8,\)",
    ),
    "z rows": (lambda i: i.update_point(0, np.ones((1, P))), ValueError, "z must have shape"),
    "z nan": (lambda i: i.update_point(0, with_entry(P, NAN)), ValueError, "z contains NaN at position 8"),
    "Z wide": (lambda i: i.insert(np.ones((2, P + 1))), ValueError, r"rows \(q, 9\), .* got shape \(2, 10\)"),
    "Z cube": (lambda i: i.insert(np.ones((2, 2, P))), ValueError, "got shape"),
    "Z scalar": (lambda i: i.insert(3.0), ValueError, "got shape"),
    "Z nan": (lambda i: i.insert(with_entry((2, P), NAN)), ValueError, "in rows 1 and columns 8"),
    "delete unknown": (lambda i: i.delete([0, 1, 99]), IndexError, "no point 99"),
    "delete twice": (lambda i: i.delete([3, 3]), ValueError, "a point twice"),
    "delete all": (lambda i: i.delete(i.ids_), ValueError, "Deleting 12 of 12 points would leave none"),
    "delete mask": (lambda i: i.delete([True, False]), IndexError, "ids must be an integer"),
    "delete floats": (lambda i: i.delete([0.0]), IndexError, "ids must be an integer"),
}


@pytest.mark.parametrize("name", UPDATES)
def test_a_failed_update_changes_nothing(name):
    call, error, message = UPDATES[name]
    index = make()
    index.update_metric(np.ones(M), np.ones(P))
    index.delete(2)
    index.insert(np.ones(P))
    index.update_point(N, np.zeros(P))
    if name.startswith("point unknown"):
        index.delete(N)
        index.insert(np.ones(P))
    before = snapshot(index)
    with pytest.raises(error, match=message):
        call(index)
    assert_unchanged(index, before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.update_point(0, np.full(P, 1e39)), "z overflows float32"),
        (lambda i: i.insert(np.full((2, P), 1e39)), "Z overflows float32"),
        (lambda i: i.update_point(0, np.full(P, 3e38)), "sketches overflow float32"),
        (lambda i: i.insert(np.full((2, P), 3e38)), "sketches overflow float32"),
        (lambda i: i.update_metric(np.full(P, 1e39), np.ones(P)), "update overflow float32"),
        (lambda i: i.update_metric(np.full(P, 1e30), np.full(P, 1e30)), "would overflow float32"),
        (lambda i: i.update_metric_rows([0], np.full((1, P), 1e39)), "update overflow float32"),
        (
            lambda i: i.update_metric_rows([0], sparse.csr_array(np.full((1, P), 2e38))),
            "would overflow float32",
        ),
    ],
)
def test_overflow_of_float32_changes_nothing(call, message):
    X = np.random.default_rng(1).standard_normal((N, P)).astype(np.float32)
    index = make(X, U=100 * np.eye(P))
    before = snapshot(index)
    with pytest.raises(ValueError, match=re.escape(message)):
        call(index)
    assert_unchanged(index, before)


@pytest.mark.parametrize("identity", [True, False])
@pytest.mark.parametrize(("dtype", "step"), [(np.float32, 1e36), (np.float64, 1e305)])
@pytest.mark.parametrize("way", ["rank one", "rows", "sparse rows"])
def test_updates_that_add_up_to_overflow(dtype, step, identity, way):
    """Each of them is far below the limit; the one that would cross it is refused, and all can be undone."""
    X = np.random.default_rng(0).standard_normal((3, P)).astype(dtype)
    index = make(X, U=None if identity else np.eye(P))
    ways = {
        "rank one": lambda s: index.update_metric(np.full(P, s), np.ones(P)),
        "rows": lambda s: index.update_metric_rows(np.arange(P), np.full((P, P), s)),
        "sparse rows": lambda s: index.update_metric_rows(np.arange(P), sparse.csr_array(np.full((P, P), s))),
    }
    done, refused = 0, None
    while refused is None:
        before = snapshot(index)
        try:
            ways[way](step)
        except ValueError as error:
            refused = error
        else:
            done += 1
        assert np.isfinite(index._store.sketched).all()
        assert np.isfinite(index._store.folded).all()
    assert re.search("would overflow float.* The index is as it was", str(refused))
    assert done > 5
    assert_unchanged(index, before)
    size = abs(index._store.folded).max()
    for _ in range(done):
        ways[way](-step)
    assert abs(index._store.folded).max() < 1e-4 * size


def test_the_metric_alone_may_overflow():
    """U can leave the range of float64 where its sketches are far from it: rows that the maps make small."""
    index = make(np.ones((3, P)), U=np.eye(P))
    index._store.folded *= 0.0
    for _ in range(5):
        index.update_metric_rows([0], np.full((1, P), 2e307))
        index._store.folded *= 0.0  # stands for maps that hardly see this row
        index._store._sketched *= 0.0
    index.update_metric_rows([0], np.full((1, P), 2e307))
    for _ in range(2):
        index.update_metric_rows([0], np.full((1, P), 1e307))
    with pytest.raises(ValueError, match="would overflow float64"):
        index.update_metric_rows([0], np.full((1, P), 3e307))
    assert np.isfinite(index.metric_factor_).all()


@pytest.mark.parametrize("identity", [True, False])
def test_changes_that_were_undone_take_no_room(identity):
    """Bounds that only grew are measured again before an update is refused."""
    index = make(np.random.default_rng(0).standard_normal((3, P)), U=None if identity else np.eye(P))
    u, v = np.full(P, 1e306), np.ones(P)
    for _ in range(300):
        index.update_metric(u, v).update_metric(-u, v)
    assert np.isfinite(index.metric_factor_).all()


def test_what_fails_half_way_changes_nothing(monkeypatch):
    """No memory for more room, or for new sketches."""
    index = make()
    before = snapshot(index)

    def no_memory(*args):
        raise MemoryError

    monkeypatch.setattr(index._store, "_sketch", no_memory)
    for call in (lambda: index.insert(np.ones(P)), lambda: index.update_point(0, np.ones(P)), index.refresh):
        with pytest.raises(MemoryError):
            call()
        assert_unchanged(index, before)
    monkeypatch.undo()
    monkeypatch.setattr(index._store, "_reserve", no_memory)
    with pytest.raises(MemoryError):
        index.insert(np.ones(P))
    assert_unchanged(index, before)


def test_the_message_of_an_unknown_point_helps():
    index = make()
    index.delete(4)
    with pytest.raises(
        IndexError, match=r"no point 4: the index holds 11 points, whose identifiers are in `ids_`"
    ):
        index.update_point(4, np.ones(P))


def test_a_whitener_in_the_place_of_its_array():
    X = np.random.default_rng(0).normal(size=(30, P))
    scatter = EmpiricalCovariance().fit(X)
    for given, call in (
        (scatter.whitener_, "pass whitener.whiten"),
        (scatter, r"pass scatter\.whitener_\.whiten"),
    ):
        with pytest.raises(TypeError, match=rf"{call}\(numpy.eye\({P}\)\)\.T"):
            AdaptiveMahalanobisIndex(given, n_components=4).fit(X)
