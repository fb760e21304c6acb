"""The robust estimators against R's robustbase and rrcov, in turn, R timing its own fits: ``nox -s bench_r``."""

import pytest
from _r import RPeers, missing
from _robust import SIZES, Search, add_rows, assert_no_worse, contaminated, half, objective, race

import fmahal

# a fifth of the rows is planted as a cluster, of which the fit warns
pytestmark = pytest.mark.filterwarnings("ignore::fmahal.exceptions.AmbiguousFitWarning")

MRCD_SHARE = 0.5  # rrcov's default; the rows kept are ceil(share n) in both


@pytest.fixture(scope="module")
def r():
    """One R for all benchmarks of this file, its packages loaded and each search run once."""
    if reason := missing():
        pytest.skip(reason)
    with RPeers() as peers:
        table = peers.hand_over(contaminated(60, 3))
        for method in ("fast", "deterministic", "mrcd"):
            peers.fit(method, table, 0)
        fmahal.warmup()
        yield peers


@pytest.fixture
def about_r(r, record):
    """State the versions of R, its packages and its BLAS beside the figures."""
    record.about(command="nox -s bench_r", **r.facts())


def robustbase(r, X, method):
    """A search of robustbase. Its `crit` and its subset disagree for large tables: the lower objective counts."""
    table = r.hand_over(X)

    def reached(fit):
        assert len(fit.best) == half(*X.shape)
        return min(fit.objective, objective(X, fit.best))

    return Search(
        lambda seed: r.fit(method, table, seed), reached, lambda fit: fit.seconds, random=method == "fast"
    )


def ours(X, method):
    return Search(
        lambda seed: fmahal.MinCovDet(method=method, random_state=seed).fit(X),
        lambda fit: fit.objective_,
        random=method != "deterministic",
    )


@pytest.mark.parametrize(("n", "p"), SIZES)
def test_min_cov_det(about_r, r, record, n, p):
    X = contaminated(n, p)
    entrants = {name: ours(X, name) for name in ("auto", "fast", "deterministic")}
    names = {"fast": "robustbase", "deterministic": "robustbase deterministic"}
    peers = {name: robustbase(r, X, method) for method, name in names.items()}
    for entrant in entrants.values():
        entrant.fit(0)
    race({**entrants, **peers})
    random = {"robustbase": peers["robustbase"]}
    deterministic = {"robustbase deterministic": peers["robustbase deterministic"]}
    assert_no_worse(X, "auto", entrants["auto"], peers)
    assert_no_worse(X, "fast", entrants["fast"], random)
    assert_no_worse(X, "deterministic", entrants["deterministic"], deterministic)
    add_rows(record, f"MinCovDet, n={n}, p={p}", entrants["auto"], random, {"robustbase": 2.0})
    add_rows(record, f'MinCovDet(method="fast"), n={n}, p={p}', entrants["fast"], random, {"robustbase": 2.0})
    add_rows(
        record,
        f'MinCovDet(method="deterministic"), n={n}, p={p}',
        entrants["deterministic"],
        deterministic,
        {"robustbase deterministic": 5.0},
    )


@pytest.mark.parametrize(("n", "p", "rounds"), [(100, 300, 3), (200, 1_000, 1)])
def test_mrcd(about_r, r, record, n, p, rounds):
    """R takes minutes at the larger size, so once; ours is the median of five fits in each round."""
    X = contaminated(n, p)
    table = r.hand_over(X)
    peer = Search(lambda seed: r.fit("mrcd", table, seed), lambda fit: fit.objective, lambda fit: fit.seconds)
    entrant = Search(lambda seed: mrcd(X, "auto"), lambda fit: fit.objective_, repeats=5)
    entrant.fit(0)
    race({"fmahal": entrant, "rrcov": peer}, rounds=rounds)
    same_problem(X, peer.result)
    add_rows(record, f"MRCD, n={n}, p={p}", entrant, {"rrcov": peer}, {"rrcov": 100.0})


def mrcd(X, rho):
    return fmahal.MRCD(support_fraction=MRCD_SHARE, rho=rho).fit(X)


def same_problem(X, peer):
    """At the peer's rho, of which the objective is a function, ours is no higher, and no shifted row is kept.

    The peer's Qn works in single precision: p column scales, squared, are good to 1e-7 each.
    """
    fit = mrcd(X, peer.rho)
    assert fit.n_support_ == len(peer.best)
    assert not fit.raw_support_[: len(X) // 5].any()
    assert fit.objective_ <= peer.objective + 2e-7 * X.shape[1]
