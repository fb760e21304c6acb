r"""The law of a weighted sum of chi-square variables, by inversion of its characteristic function along a bent contour.

With :math:`K(s) = -\frac12 \sum_j k_j \log(1 - 2 w_j s)`, the logarithm of the moment generating function,

.. math:: P(Q > x) = \frac1{2 \pi i} \int \frac{e^{K(s) - s x}}{s} \, ds

from below to above through any real point between 0 and the branch point 1 / (2 max w); for P(Q <= x) with the other
sign through any negative point. Imhof integrates along the imaginary axis, where the integrand is near 1 / s however
small the probability is. Through the saddle point of the integrand its size at the crossing is that of the
probability, which thus keeps all its digits. The integrand is analytic but for 0 and the real numbers beyond the branch
point, so that the contour may bend to the right, around both, as a hyperbola; there exp(-s x) decays, for a single
weight too, and the trapezoid rule converges geometrically.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._typing import FloatArray

# The unit of length is the standard deviation d of the integrand at the saddle, where its curvature is 1 / d**2. The
# pole is at least d away from there and the branch point 0.7 d, so that one hyperbola serves all: semi-axis 2.5 d, and
# asymptotes 24 degrees from the vertical, which leaves room for the 45 degrees beyond which many small weights,
# exp(v s**2), would grow. The nearest trouble is 0.76 from the real axis of u, and exp(-2 pi 0.76 / step) is 3e-17.
_STEP = 1 / 8
_AXIS = 2.5
_SLOPE = 0.45
_NODES = 40  # nodes in a run; more runs where the integrand has not vanished by then
_RUNS = 20
_BLOCK = 200_000  # complex numbers in a working array

# Many arguments are interpolated: the logarithm of a tail is analytic in log x, and polynomials through 24 points, on
# pieces short enough for their last coefficients to be rounding, have 12 digits of the probability.
MANY = 200
_DEGREE = 23
_HALVINGS = 12


class Weights(NamedTuple):
    """Different weights with their multiplicities; the largest weight is 1."""

    w: FloatArray
    k: FloatArray


class _Integral(NamedTuple):
    """Logarithms of a probability and of the density over it."""

    log_tail: FloatArray
    hazard: FloatArray


def tail(weights: Weights, x: FloatArray, *, upper: bool) -> _Integral:
    """Return the logarithm of P(Q > x), or of P(Q <= x), for each x > 0, and the density over that probability.

    O(len(x) len(weights)) time, about 100 complex products for each pair, and O(len(x) + len(weights)) memory.
    """
    log_tail, hazard = np.empty(x.size), np.empty(x.size)
    near, power = _within_reach(weights, x)
    size = max(1, _BLOCK // max(_NODES, weights.w.size))
    for start in range(0, x.size, size):
        part = slice(start, start + size)
        log_tail[part], hazard[part] = _integrate(weights, near[part], upper)
    return _Integral(log_tail + power, hazard * np.where(x < near, near / x, 1.0))


def _within_reach(weights: Weights, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return x where the integral is taken, and what the logarithm of the tail has to be increased by.

    For very small x, where squares would overflow, P(Q <= x) is a power of x; beyond 2000 + 10 mean, where all digits
    cancel, P(Q > x) is below exp(-800) by Markov's inequality at s = 0.4, and 0 as a float64.
    """
    mean, order = float(weights.w @ weights.k), float(weights.k.sum()) / 2
    near = np.clip(x, mean * 1e-100, 2000 + 10 * mean)
    return near, order * np.log(np.minimum(x / near, 1.0))


def log_tail(weights: Weights, x: FloatArray, *, upper: bool) -> FloatArray:
    """Return the logarithm of P(Q > x) for x above the mean, or of P(Q <= x) below it: of many x by interpolation.

    Some hundred to a thousand integrals at most, then O(len(x) log len(x)) time.
    """
    if x.size <= MANY:
        return tail(weights, x, upper=upper).log_tail
    near, power = _within_reach(weights, x)
    different, back = np.unique(near, return_inverse=True)
    return _interpolated(weights, different, upper)[back] + power


def _interpolated(weights: Weights, x: FloatArray, upper: bool) -> FloatArray:
    """Return the logarithms of tails at sorted different x, by piecewise polynomials in log x."""
    mean = float(weights.w @ weights.k)
    y, out = np.log(x / mean), np.empty(x.size)
    linear = (
        0.5 if upper else 0.0
    )  # log P(Q > x) is about -x / 2 far out, which exp(log x) would make less exact
    left, width = np.arange(x.size), 1.0
    alone: list[NDArray[np.int64]] = []
    for _ in range(_HALVINGS):
        place = np.floor(y[left] / width)
        place = np.maximum(place, 0) if upper else np.minimum(place, -1)  # on this side of the mean
        pieces, first, counts = np.unique(place, return_index=True, return_counts=True)
        crowded = counts > 2 * _DEGREE
        members = [left[i : i + number] for i, number in zip(first, counts)]
        alone += [rows for rows, many in zip(members, crowded) if not many]
        members = [rows for rows, many in zip(members, crowded) if many]
        coefficients, exact = _polynomials(weights, mean, pieces[crowded] * width, width, linear, upper)
        for rows, piece, c, done in zip(members, pieces[crowded], coefficients, exact):
            if done:
                u = 2 * (y[rows] / width - piece) - 1
                out[rows] = np.polynomial.chebyshev.chebval(u, c) - linear * x[rows]
        left = np.concatenate([np.empty(0, np.int64)] + [r for r, done in zip(members, exact) if not done])
        if left.size == 0:
            break
        width /= 2
    rest = np.concatenate([left, *alone])
    out[rest] = tail(weights, x[rest], upper=upper).log_tail
    return out


def _polynomials(
    weights: Weights, mean: float, start: FloatArray, width: float, linear: float, upper: bool
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the Chebyshev coefficients on pieces of log(x / mean), and which of them have all digits."""
    number = _DEGREE + 1
    u = np.cos(np.pi * (np.arange(number) + 0.5) / number)
    x = mean * np.exp(start[:, None] + width * (u + 1) / 2)
    values = tail(weights, x.ravel(), upper=upper).log_tail.reshape(x.shape)
    coefficients = (values + linear * x) @ np.polynomial.chebyshev.chebvander(u, _DEGREE) * (2 / number)
    coefficients[:, 0] /= 2
    rounding = 2e-13 + 4e-16 * np.abs(values).max(axis=1)
    return coefficients, np.abs(coefficients[:, -3:]).max(axis=1) <= rounding


def _integrate(weights: Weights, x: FloatArray, upper: bool) -> tuple[FloatArray, FloatArray]:
    sign = 1.0 if upper else -1.0
    s, t = _saddle(weights, x, upper)
    ratio = weights.w / ((1 - weights.w) + 2 * weights.w * t[:, None])
    deviation = 1 / np.sqrt(2 * (ratio**2 @ weights.k) + 1 / s**2)
    axis = _AXIS * deviation
    at_saddle = _log_integrand(weights, s, t, x, sign)
    probability, density = np.zeros(x.size), np.zeros(x.size)
    left = np.arange(x.size)
    for run in range(_RUNS):
        v = (_STEP / _AXIS) * (np.arange(_NODES) + run * _NODES)
        step = np.multiply.outer(axis[left], 1j * np.sinh(v) + _SLOPE * (np.cosh(v) - 1))
        slope = np.multiply.outer(deviation[left], np.cosh(v) - 1j * _SLOPE * np.sinh(v))  # ds / (i du)
        nodes, far = s[left, None] + step, t[left, None] - step
        size = np.exp(_log_integrand(weights, nodes, far, x[left, None], sign) - at_saddle[left, None])
        values = size * slope
        half = np.where(v == 0, 0.5, 1.0)  # the lower half of the contour mirrors the upper half
        probability[left] += values.real @ half
        density[left] += (values * nodes).real @ half
        left = left[np.abs(size[:, -1]) > 1e-18]
        if left.size == 0:
            break
    log_tail = at_saddle + np.log(probability * (_STEP / np.pi))
    return np.asarray(log_tail.real), sign * density / probability


def _log_integrand(weights: Weights, s: Any, t: Any, x: Any, sign: float) -> NDArray[Any]:
    """Return K(s) - log(+-s) - s x, given t = 1/2 - s too, which has its digits where s is near the branch point."""
    powers = sum(k * _log_product(weights.w[weights.k == k], t) for k in np.unique(weights.k))
    return -0.5 * powers - np.log(sign * s) - s * x


def _log_product(w: FloatArray, t: Any) -> NDArray[Any]:
    """Return the sum of the logarithms of 1 - w + 2 w t over the weights, for t real or with Im t <= 0.

    As one logarithm of the product, 20 times faster than one for each factor. Every factor turns the product clockwise
    by less than half a circle, so that the product has come round when it goes from the lower half plane to the upper.
    """
    extremes = np.abs(np.log([1e-300 + 2 * np.abs(t).min(), 1 + 2 * np.abs(t).max()]))
    safe = max(1, int(300 / (1 + extremes.max())))  # so many factors neither overflow nor vanish
    product, turns, log_size = np.ones_like(t), np.zeros(t.shape), np.zeros(t.shape)
    for count, weight in enumerate(w, start=1):
        below = product.imag <= 0
        product *= (1 - weight) + (2 * weight) * t
        turns += below & (product.imag > 0)
        if count % safe == 0:
            size = np.abs(product)
            log_size += np.log(size)
            product /= size
    return log_size + np.log(product) - (2j * np.pi * turns if np.iscomplexobj(t) else 0.0)


def _saddle(weights: Weights, x: FloatArray, upper: bool) -> tuple[FloatArray, FloatArray]:
    """Return s and 1/2 - s near the minimum of the integrand between 0 and 1/2, or below 0.

    The contour may cross anywhere near it, so that four digits are enough.
    """
    w, k = weights

    def point(y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return s, 1/2 - s and ds/dy for y = log((1/2 - s) / s), or for y = log(-s)."""
        if upper:
            s, t = 0.5 / (1 + np.exp(y)), 0.5 / (1 + np.exp(-y))
            return s, t, -2 * s * t
        v = np.exp(y)
        return -v, 0.5 + v, -v

    total = float(w @ k)
    if upper:
        near, far = (
            0.495 / (x + 4),
            0.495 * min(0.5, 1 / total),
        )  # a t that is too small, an s that is too small
        low, high = np.log(near / (0.5 - near)), np.full(x.shape, np.log((0.5 - far) / far))
    else:
        low, high = -np.log(x), np.log((k.sum() / 2 + 1) / x)
    y = (low + high) / 2
    for _ in range(100):
        s, t, ds = point(y)
        ratio = w / ((1 - w) + 2 * w * t[:, None])
        slope = ratio @ k - 1 / s - x
        low, high = np.where(slope > 0, y, low), np.where(slope > 0, high, y)
        new = y - slope / ((2 * (ratio**2 @ k) + 1 / s**2) * ds)
        new = np.where((new > low) & (new < high), new, (low + high) / 2)
        done, y = np.abs(new - y).max() < 1e-4, new
        if done:
            break
    s, t, _ = point(y)
    return s, t


def quantile(
    weights: Weights, p: FloatArray, start: NDArray[np.float64], *, upper: bool
) -> NDArray[np.float64]:
    """Return the x with P(Q > x) = p above the mean, or P(Q <= x) = p below it, from a first guess.

    By Newton's method inside a bracket; a number below 1e-290 times the mean becomes 0. The logarithm of the upper tail
    is nearly linear in x far out, that of the lower one in log x.
    """
    mean, goal = float(weights.w @ weights.k), np.log(p)
    low, high = (
        np.full(p.shape, mean if upper else mean * 1e-290),
        np.full(p.shape, np.inf if upper else mean),
    )
    x: NDArray[Any] = np.clip(start, low, high)
    left = np.arange(x.size)
    for _ in range(200):
        now = x[left]
        log_tail, hazard = tail(weights, now, upper=upper)
        excess = log_tail - goal[left]
        too_low = (excess > 0) if upper else (excess < 0)
        low[left] = np.where(too_low, np.maximum(low[left], now), low[left])
        high[left] = np.where(too_low, high[left], np.minimum(high[left], now))
        if upper:
            new = now + excess / hazard
        else:
            new = now * np.exp(np.clip(-excess / (hazard * now), -700, 700))
        top = np.where(np.isinf(high[left]), 4 * now, high[left])
        inside = (new >= low[left]) & (new <= top)
        x[left] = np.where(inside, new, np.sqrt(low[left]) * np.sqrt(top))
        # Newton's method doubles the digits, so that after a step of 1e-8 the next would change nothing.
        left = left[np.abs(x[left] - now) > 1e-8 * now]
        if left.size == 0:
            break
    return np.where(x <= mean * 1.001e-290, 0.0, x)
