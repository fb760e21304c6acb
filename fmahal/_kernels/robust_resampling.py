"""Fast robust bootstrap of the minimum covariance determinant: one corrected step for each resample.

Observations are the columns of `Yt` (p, n), in the coordinates in which the estimate to be resampled is (0, I), from
the nearest to the farthest. So a concentration step of a resample is its leading part, and needs no distances.
"""

from collections import namedtuple

import numpy as np
from numba import prange

from ._jit import jit, warms
from .moments import ROWS, block_sqnorm, cholesky, new_state, new_work
from .rotations import stretch

CHUNKS = 32  # pieces into which replicates are dealt; each allocates its workspace once
OK, SINGULAR = 0, 1
RAW, FINAL, UNION = 0, 1, 2  # the corrected step, reweighting, and again with the h rows if that is flat

Rule = namedtuple("Rule", "h ddof known raw_scale location shape reweight bound scale scale_all tol")
Bag = namedtuple("Bag", "Y weight inner change d place vectors state work")


@jit
def new_bag(p, n):
    """Workspace of one thread for resamples of n observations of p variables, columns in full blocks."""
    width = (n + ROWS - 1) // ROWS * ROWS
    return Bag(
        np.zeros((p, width)),
        np.zeros(width),
        np.zeros(width),
        np.zeros(width),
        np.zeros(width),
        np.zeros(n, np.int64),
        np.zeros((p, p)),
        new_state(p),
        new_work(p, 1),
    )


@jit
def _add(Y, weight, m, work):
    """Add the first m observations to work.sums and work.cross (lower half), without blocks of weight zero."""
    g = work.e
    for first in range(0, m, ROWS):
        size = 0.0
        for r in range(ROWS):
            size += abs(weight[first + r])
        if size == 0.0:
            continue
        for j in range(Y.shape[0]):
            s = 0.0
            for r in range(ROWS):
                v = weight[first + r] * Y[j, first + r]
                g[r] = v
                s += v
            work.sums[j] += s
            k = 0
            while k + 4 <= j + 1:
                s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
                for r in range(ROWS):
                    v = g[r]
                    s0 += v * Y[k, first + r]
                    s1 += v * Y[k + 1, first + r]
                    s2 += v * Y[k + 2, first + r]
                    s3 += v * Y[k + 3, first + r]
                work.cross[j, k] += s0
                work.cross[j, k + 1] += s1
                work.cross[j, k + 2] += s2
                work.cross[j, k + 3] += s3
                k += 4
            while k <= j:
                s0 = 0.0
                for r in range(ROWS):
                    s0 += g[r] * Y[k, first + r]
                work.cross[j, k] += s0
                k += 1


@jit
def _set(total, rule, scale, state, work):
    """Location and scaled scatter from the sums of observations whose weights add up to `total`."""
    for j in range(state.mean.size):
        state.mean[j] = 0.0 if rule.known else work.sums[j] / total
        for k in range(j + 1):
            s = work.cross[j, k] - state.mean[j] * work.sums[k]
            state.S[j, k] = scale * s / (total - rule.ddof)


@jit
def _distances(bag, m):
    """Squared distances of the first m observations of the bag."""
    for first in range(0, m, ROWS):
        block_sqnorm(bag.Y, first, bag.state, bag.work)
        for r in range(ROWS):
            bag.d[first + r] = bag.work.total[r]


@jit
def _choose(bag, m, rule, stage):
    """Give the first m observations the weights of a stage in bag.inner, what that changes to bag.change.

    The h nearest ones, counted with their weights, at stage RAW; at FINAL those within the cutoff, unless these are as
    few as p + 1; at UNION either of them. Returns the sum of weights and whether all are inside.
    """
    size, within = 0.0, 0.0
    for t in range(m):
        size += bag.weight[t]
        within += bag.weight[t] if bag.d[t] < rule.bound else 0.0
    few = within <= bag.state.mean.size + 1
    room, total = rule.h * 1.0, 0.0
    for t in range(m):
        leading = min(bag.weight[t], room)
        room -= leading
        inside = bag.weight[t] if bag.d[t] < rule.bound else 0.0
        if stage == RAW or few:
            inside = leading
        elif stage == UNION:
            inside = max(inside, leading)
        bag.change[t] = inside - bag.inner[t]
        bag.inner[t] = inside
        total += inside
    for t in range(m, bag.change.size):
        bag.change[t] = 0.0
    return total, total == size


@jit
def _fit(bag, m, n, rule):
    """Estimate from the first m observations, which come in order, and squared distances of all n in the bag."""
    state, work = bag.state, bag.work
    p = state.mean.size
    for t in range(m):
        bag.inner[t] = 0.0
    for j in range(p):
        work.sums[j] = 0.0
        for k in range(p):
            work.cross[j, k] = 0.0
    for stage in range(UNION + 1):
        total, everything = _choose(bag, m, rule, stage)
        _add(bag.Y, bag.change, m, work)
        scale = rule.scale_all if everything else rule.scale
        _set(total, rule, rule.raw_scale if stage == RAW else scale, state, work)
        if stage == RAW:
            for j in range(p):
                state.mean[j] *= rule.location
            # state.L is free until the factor is made
            if rule.shape != 1.0 and not stretch(state.S, rule.shape, rule.tol, state.L, bag.vectors):
                return SINGULAR
        regular = cholesky(state.S, state.L, state.inverse, rule.tol)[1] < 0
        done = regular and (stage > RAW or not rule.reweight)
        if regular:
            _distances(bag, n if done else m)
        if done:
            return OK
        if stage == RAW and not regular:
            return SINGULAR
    return SINGULAR


@jit
def _collect(Yt, order, counts, bag):
    """Fill the bag: observations of a resample first, then those that it misses, from near to far; return how many."""
    n = order.size
    m = 0
    for t in range(n):
        m += counts[t] > 0
    first, last = 0, m
    for t in range(n):
        i = order[t]
        if counts[i] > 0:
            at = first
            first += 1
        else:
            at = last
            last += 1
        bag.place[i] = at
        bag.weight[at] = counts[i]
        for j in range(Yt.shape[0]):
            bag.Y[j, at] = Yt[j, t]
    return m


@jit
def _one(Yt, order, counts, rule, bag, train, missed):
    """Fit a resample: distances of its rows, copies included, and of those it misses when `missed` has room."""
    n = order.size
    m = _collect(Yt, order, counts, bag)
    if _fit(bag, m, n if missed.size else m, rule) != OK:
        return SINGULAR
    written = 0
    for i in range(n):
        for _ in range(counts[i]):
            train[written] = bag.d[bag.place[i]]
            written += 1
    for i in range(missed.size):
        missed[i] = bag.d[bag.place[i]] if counts[i] == 0 else np.nan
    return OK


@jit
def _chunk(Yt, order, counts, rule, chunk, train, missed, statuses):
    bag = new_bag(Yt.shape[0], Yt.shape[1])
    for b in range(chunk, counts.shape[0], CHUNKS):
        statuses[b] = _one(Yt, order, counts[b], rule, bag, train[b], missed[b])


@jit(parallel=True)
def robust_fits(Yt, order, counts, rule, train, missed, statuses):
    """One corrected step for each of b resamples, with replacement or without some rows.

    `order` (n,) is the row that is column t of Yt, `counts` (b, n) int32 how often each row is in a resample, m times
    in all. `train` (b, m) receives squared distances of the rows of a resample, in the order of rows, a row drawn
    twice twice; `missed`, (b, n) or (b, 0), those of rows that are not in it, NaN elsewhere; `statuses` (b,) OK or
    SINGULAR. O(b (n p^2 + p^3)), parallel over resamples.
    """
    for chunk in prange(CHUNKS):
        _chunk(Yt, order, counts, rule, chunk, train, missed, statuses)


@warms
def _warm():
    rng = np.random.default_rng(0)
    Yt, order, counts = rng.standard_normal((2, 12)), np.arange(12), np.ones((1, 12), np.int32)
    for array in (Yt, order, counts):
        array.flags.writeable = False
    rule = Rule(7, 1, False, 2.0, 1.5, 1.5, True, 7.0, 1.1, 1.0, 1e-14)
    robust_fits(Yt, order, counts, rule, np.empty((1, 12)), np.empty((1, 12)), np.empty(1, np.int64))
