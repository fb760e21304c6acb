"""What the answers promise: a rate of failure, no bias, and no way to learn which directions are wrong."""

import numpy as np
import pytest
from scipy import stats

from fmahal.online import AdaptiveMahalanobisIndex, _estimates
from fmahal.online._accuracy import median_failure

# ------------------------------------------------------------------- questions that do not depend on answers


@pytest.mark.parametrize(("k", "L", "r", "eps"), [(40, 12, 4, 0.2), (30, 4, 1, 0.5)])
def test_the_share_of_wrong_answers(k, L, r, eps):
    """1000 questions: p well above k, so that answers of one index to different questions are all but independent."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((50, 600))
    index = AdaptiveMahalanobisIndex(n_components=k, n_sketches=L, sample_size=r, random_state=1).fit(X)
    wrong = 0
    for t in range(1000):
        x = X[t % 50] + rng.standard_normal(600)
        answer = index.query(x)[t % 50]
        wrong += abs(answer / ((X[t % 50] - x) ** 2).sum() - 1.0) > eps
    delta = index.failure_probability(eps)
    assert 0.003 < delta < 0.1  # else the next line says nothing
    slack = 3.0 * np.sqrt(delta * (1.0 - delta) / 1000)
    assert delta - slack <= wrong / 1000 <= delta + slack


@pytest.mark.parametrize("kind", ["gaussian", "srht"])
def test_one_sketch_is_unbiased(kind):
    rng = np.random.default_rng(0)
    U, X, k, L, T = rng.standard_normal((20, 30)), rng.standard_normal((2, 30)), 8, 400, 1000
    index = AdaptiveMahalanobisIndex(
        U, n_components=k, n_sketches=L, sample_size=1, kind=kind, random_state=2
    )
    index.fit(X)
    d2 = float(((U @ (X[0] - X[1])) ** 2).sum())
    answers = np.array([index.query_pair(0, 1) for _ in range(T)])
    # the variance of the mean over L sketches, and that of T answers drawn from these
    assert abs(answers.mean() / d2 - 1.0) < 3.0 * np.sqrt(2.0 / k * (1.0 / L + 1.0 / T))
    assert answers.std() / d2 > 0.1


# ------------------------------------------------------------------- questions that do

P, K, EPS, ROUNDS = 32, 16, 0.8, 200  # a round is two questions


def by_signs(ask, rng):
    """A sum of random probes, each with the sign that makes the answer larger."""
    v = rng.standard_normal(P)
    v /= np.linalg.norm(v)
    for t in range(ROUNDS):
        g = rng.standard_normal(P)
        g -= (g @ v) * v
        g /= np.linalg.norm(g) * np.sqrt(t + 1.0)  # as in a sum of unit vectors
        v = v + g if ask(v + g) > ask(v - g) else v - g
        v /= np.linalg.norm(v)
    return v


def by_spectrum(ask, rng):
    """The leading eigenvector of the smallest quadratic form that has the answers to random probes."""
    probes = rng.standard_normal((2 * ROUNDS, P))
    answers = np.array([ask(g) for g in probes])
    squares = np.einsum("ti,tj->tij", probes, probes).reshape(len(probes), -1)
    form = np.linalg.lstsq(squares, answers)[0].reshape(P, P)
    return np.linalg.eigh(form)[1][:, -1]


def fitted(n_sketches, sample_size, seed):
    """Point 0 is the origin: its distance to v is |v|^2."""
    points = np.vstack([np.zeros(P), np.ones(P)])
    return AdaptiveMahalanobisIndex(
        n_components=K, n_sketches=n_sketches, sample_size=sample_size, random_state=seed
    ).fit(points)


def errors_after(attack, index, seed):
    """Relative errors of 20 answers to the vector that the attack ends with."""
    v = attack(lambda x: index.query(x)[0], np.random.default_rng(seed))
    return np.array([abs(index.query(v)[0] / (v @ v) - 1.0) for _ in range(20)])


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(s, marks=pytest.mark.slow) for s in range(3, 15))])
def test_a_fresh_subset_is_what_protects_a_few_sketches(seed, monkeypatch):
    """Two sketches more than are sampled: an attack gains far less than on a subset that is always the same.

    Answers of a fixed subset are a fixed function of the question, whose worst directions are found; a fresh one
    answers at random, and what is learned concerns all sketches. With more of them it is worth less.
    """
    sampled = 3

    def error(n_sketches):
        return np.median(errors_after(by_signs, fitted(n_sketches, sampled, seed), 10 + seed))

    fresh, many = error(sampled + 2), error(8 * sampled)
    monkeypatch.setattr(_estimates, "draw_sketches", lambda store: np.arange(store.sample_size))
    fixed, fixed_of_many = error(sampled + 2), error(8 * sampled)
    assert min(fixed, fixed_of_many) > EPS
    assert fresh < 0.7 * fixed
    assert many < 0.35 * fixed_of_many


L, R, NET = 1300, 51, 0.02
BAD, LONG = 0.2, 0.02  # shares of the sketches


def divergence(a, b):
    return a * np.log(a / b) + (1 - a) * np.log((1 - a) / (1 - b))


def test_sizes_make_every_question_safe():
    """A union bound over a net of the sphere: nothing that can be asked is answered wrongly often.

    A sketch S is wrong at the unit vector v when |S v|^2 leaves [1 - eps, 1 + eps]. The sphere has a net of
    (1 + 2 / NET)^P vectors w, one within NET of every v; where the norm of S is at most b, |S v| and |S w| differ by at
    most NET b. For one w the share of sketches with |S w| in the outer parts of the band or beyond is binomial over L,
    with a rate from the chi-square law: above BAD with probability at most exp(-L divergence(BAD, rate)) (Chernoff),
    and so for any w of the net with that times the size of the net. The norm of S exceeds b = 1 + sqrt(P/K) + s with
    probability at most exp(-K s^2 / 2) (Davidson and Szarek), and for more than a share LONG of the sketches with
    exponentially small probability again. So there is no v at all at which more than BAD + LONG of the sketches are
    wrong, and a sample of R has a wrong majority at the most with a hypergeometric probability, whatever was asked
    before.
    """
    s = 0.9
    slack = NET * (1.0 + np.sqrt(P / K) + s)
    low, high = (np.sqrt(1 - EPS) + slack) ** 2, (np.sqrt(1 + EPS) - slack) ** 2
    rate = stats.chi2.cdf(K * low, K) + stats.chi2.sf(K * high, K)
    long = np.exp(-K * s**2 / 2)
    assert rate < BAD
    assert long < LONG
    assert P * np.log(1 + 2 / NET) - L * divergence(BAD, rate) < np.log(1e-6)
    assert -L * divergence(LONG, long) < np.log(1e-6)
    wrong = stats.hypergeom(L, int((BAD + LONG) * L), R).sf(R // 2)
    assert 3 * 2 * 20 * wrong < 1e-3  # the answers that the next test looks at


@pytest.mark.parametrize("attack", [by_signs, by_spectrum])
@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(s, marks=pytest.mark.slow) for s in range(3, 15))])
def test_adaptive_questions_break_a_reused_sketch_and_not_the_index(attack, seed):
    """The reused sketch is an index of one: accurate at a random vector, and not where the attack ends."""
    reused, index = fitted(1, 1, seed), fitted(L, R, seed)
    assert median_failure(K, 1, EPS) < 0.05
    assert errors_after(attack, reused, 10 + seed).min() > 3 * EPS
    assert errors_after(attack, index, 10 + seed).max() < EPS
