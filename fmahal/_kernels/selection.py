"""Sorting, and selection in linear time: of an array, and of the differences of two sorted arrays."""

import numpy as np

from ._jit import jit

SHORT = 16  # entries below which insertion sort ends a selection
SAMPLE = 9  # entries looked at to choose a pivot, fewer below FEW
FEW = 200
LEAF = 24  # entries below which insertion sort ends a sort
GUESSES = 12  # pivots that interpolation may choose before weighted medians take over


@jit
def insertion_sort(a, start, stop):
    """Sort a[start:stop] in place, O(n^2)."""
    for i in range(start + 1, stop):
        value = a[i]
        j = i
        while j > start and a[j - 1] > value:
            a[j] = a[j - 1]
            j -= 1
        a[j] = value


@jit
def select(a, n, k):
    """Return the k-th smallest (from 0) of a[:n]; in place, so that a[:k] <= a[k] <= a[k+1:n] afterwards.

    Quickselect with a pivot from a small sample, taken at the rank sought and a step beyond, so that the smaller part
    is the likely survivor. The partition has no branch that depends on data. The sample is drawn by a congruential
    generator of fixed seed: the result is deterministic, and no natural order of the data is slow. O(n).
    """
    start, stop = 0, n
    seed = 1
    sample = np.empty(SAMPLE)
    while stop - start > SHORT:
        size = stop - start
        looks = SAMPLE if size > FEW else 5
        for s in range(looks):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            sample[s] = a[start + ((seed * size) >> 31)]
        insertion_sort(sample, 0, looks)
        rank = ((k - start) * looks) // size
        if 2 * (k - start) < size:
            rank = min(rank + 1, looks // 2)
        else:
            rank = max(rank - 1, looks // 2)
        pivot = sample[rank]
        edge = start
        for j in range(start, stop):
            value = a[j]
            a[j] = a[edge]
            a[edge] = value
            edge += value < pivot
        if k < edge:
            stop = edge
        elif 8 * (edge - start) > size:
            start = edge
        else:  # a small pivot, or many ties: take what equals it out, so that something always goes
            bound = edge
            for j in range(edge, stop):
                value = a[j]
                a[j] = a[bound]
                a[bound] = value
                bound += value == pivot
            if k < bound:
                return pivot
            start = bound
    insertion_sort(a, start, stop)
    return a[k]


@jit
def median_of_three(x, y, z):
    """Middle one of three numbers, without a branch."""
    return max(min(x, y), min(max(x, y), z))


@jit
def sort_inplace(a):
    """Sort a vector, twice as fast as `numpy.sort` inside a kernel. O(n log n).

    Quicksort with the partition of `select`, the pivots being medians of three or of nine at jittered places.
    """
    stack = np.empty((64, 2), np.int64)
    top = 0
    start, stop = 0, a.size
    seed = 1
    while True:
        while stop - start > LEAF:
            size = stop - start
            step = size // 16
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            at = start + ((seed * step) >> 31)
            low, middle, high = a[at + 2 * step], a[at + 8 * step], a[at + 14 * step]
            if size > FEW:
                low = median_of_three(a[at], low, a[at + 4 * step])
                middle = median_of_three(a[at + 6 * step], middle, a[at + 10 * step])
                high = median_of_three(a[at + 12 * step], high, a[at + 15 * step])
            pivot = median_of_three(low, middle, high)
            edge = start
            for j in range(start, stop):
                value = a[j]
                a[j] = a[edge]
                a[edge] = value
                edge += value < pivot
            rest = edge
            if 8 * (edge - start) < size:  # a small pivot, or many ties: they are in place
                for j in range(edge, stop):
                    value = a[j]
                    a[j] = a[rest]
                    a[rest] = value
                    rest += value == pivot
            if edge - start < stop - rest:  # the larger part waits: the stack holds log2(n) of them
                stack[top, 0], stack[top, 1] = rest, stop
                stop = edge
            else:
                stack[top, 0], stack[top, 1] = start, edge
                start = rest
            top += 1
        insertion_sort(a, start, stop)
        if top == 0:
            return
        top -= 1
        start, stop = stack[top, 0], stack[top, 1]


@jit
def sorted_copy(x):
    """Ascending copy of a vector."""
    y = x.copy()
    sort_inplace(y)
    return y


@jit
def median_inplace(a, n):
    """Median of a[:n], the mean of the two middle values for even n; reorders a. O(n)."""
    if n == 0:
        return np.nan
    half = n // 2
    upper = select(a, n, half)
    if n % 2 == 1:
        return upper
    lower = a[0]
    for i in range(1, half):
        lower = max(lower, a[i])
    return 0.5 * (lower + upper)


@jit
def weighted_high_median(values, weights, count, work):
    """Smallest v among the values with 2 (weight of values <= v) > total weight. O(count); reorders its inputs."""
    total = 0
    for i in range(count):
        total += weights[i]
    rest = 0  # weight known to lie below what is left
    while True:
        for i in range(count):
            work[i] = values[i]
        trial = select(work, count, count // 2)
        below = 0
        equal = 0
        for i in range(count):
            if values[i] < trial:
                below += weights[i]
            elif values[i] == trial:
                equal += weights[i]
        if 2 * (rest + below) > total:
            keep_below = True
        elif 2 * (rest + below + equal) > total:
            return trial
        else:
            keep_below = False
            rest += below + equal
        kept = 0
        for i in range(count):
            if (values[i] < trial) if keep_below else (values[i] > trial):
                values[kept] = values[i]
                weights[kept] = weights[i]
                kept += 1
        count = kept


@jit
def first_not_above(y, w, t, first, last, pointers):
    """For each row i the first j with y_i - w_j <= t, kept in first_i .. last_i; the sum of last - pointers. O(n)."""
    n = y.size
    j = 0
    count = 0
    for i in range(n):
        value = y[i]
        while j < n and value - w[j] > t:
            j += 1
        inside = min(max(j, first[i]), last[i])
        pointers[i] = inside
        count += last[i] - inside
    return count


@jit
def first_below(y, w, t, first, last, pointers):
    """As `first_not_above` with a strict inequality: the first j with y_i - w_j < t."""
    n = y.size
    j = 0
    count = 0
    for i in range(n):
        value = y[i]
        while j < n and value - w[j] >= t:
            j += 1
        inside = min(max(j, first[i]), last[i])
        pointers[i] = inside
        count += last[i] - inside
    return count


@jit
def _next_pivot(low, high, rank, inside, margin, slope):
    """Where the rank is expected among the entries in (low, high], and a margin past it on the side still far away."""
    aim = rank - margin if rank > 2 * margin else rank + margin
    if low > -np.inf and high < np.inf:
        return low + (high - low) * (aim / inside)
    if not slope > 0.0:
        return np.nan
    return low + aim / slope if low > -np.inf else high - (inside - aim) / slope


@jit
def select_difference(y, w, first, last, rank, guess, slope, pool):
    """Return the rank-th smallest (from 1) of the y_i - w_j with first_i <= j < last_i, y and w ascending.

    Croux and Rousseeuw's search: a pivot costs O(n) and leaves a range of columns in each row. First pivots come from
    interpolating the rank, starting at `guess` with `slope` ranks a unit; the weighted median of the rows' middle
    entries, which removes a quarter of what is left whatever the data, when these do not get there. What is left is
    selected directly once it fits `pool`. Overwrites first and last. O(n log n).
    """
    n = y.size
    room = pool.size
    pointers = np.empty(n, np.int64)
    below = 0  # entries known to be smaller
    inside = 0
    for i in range(n):
        inside += max(last[i] - first[i], 0)
    low = -np.inf  # the answer lies in (low, high]
    high = np.inf
    t = guess
    for _ in range(GUESSES):
        if inside <= room or not low < t < high:
            break
        count = first_not_above(y, w, t, first, last, pointers)
        if below + count >= rank:  # the answer is t at most
            high = t
            inside = count
            for i in range(n):
                first[i] = pointers[i]
        else:
            low = t
            below += count
            inside -= count
            for i in range(n):
                last[i] = pointers[i]
        t = _next_pivot(low, high, rank - below, inside, room // 4, slope)
    if inside > room:
        below, inside, answer, found = _halve(y, w, first, last, rank, below, inside, pool, pointers)
        if found:
            return answer
    count = 0
    for i in range(n):
        for j in range(first[i], last[i]):
            pool[count] = y[i] - w[j]
            count += 1
    return select(pool, count, rank - below - 1)


@jit
def _halve(y, w, first, last, rank, below, inside, pool, pointers):
    """Cut the candidates by weighted medians until they fit the pool, or a pivot is the answer."""
    n = y.size
    values = np.empty(n)
    weights = np.empty(n, np.int64)
    work = np.empty(n)
    while inside > pool.size:
        rows = 0
        for i in range(n):
            width = last[i] - first[i]
            if width > 0:
                values[rows] = y[i] - w[first[i] + width // 2]
                weights[rows] = width
                rows += 1
        t = weighted_high_median(values, weights, rows, work)
        count = first_below(y, w, t, first, last, pointers)
        if below + count >= rank:
            inside = count
            for i in range(n):
                first[i] = pointers[i]
            continue
        count = first_not_above(y, w, t, first, last, pointers)
        if below + count >= rank:
            return below, inside, t, True
        below += count
        inside -= count
        for i in range(n):
            last[i] = pointers[i]
    return below, inside, 0.0, False
