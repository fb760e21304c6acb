"""What a bootstrap is going to do: which rows, which engine, and which maps its distances pass through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from .._typing import ArrayLike, FloatArray
from .._validation import as_rows
from ..exceptions import RankDeficientError
from ..scatter import ScatterFacts, resolve
from ..scatter import facts as scatter_facts
from ..scatter._resolve import inner_of, is_sketch
from ..whitener import Whitener
from . import _generated as made
from ._bootstrap_checks import held_rows
from ._cases import _learning_step, space_is_fixed, space_keeps_law, space_keeps_robust_law
from ._draws import Draws
from ._generated import GeneratedSampler, SignSampler
from ._moment_bootstrap import fast_moments, moment_draws
from ._refit_bootstrap import refit_draws, squared_distances
from ._resample_maps import (
    effective_size,
    grown,
    grown_normal,
    new_row_factor,
    new_row_map,
    own_share,
    own_weight,
    pulled_in,
    typical_factor,
)
from ._robust_bootstrap import fast_robust, mcd_draws
from ._size_scale import FIRST, Resize, grows, more_held
from ._spectral_bootstrap import fast_spectral, spectral_draws
from .base import training_facts

Map = Callable[[FloatArray], FloatArray]
_ROUNDING = 32 * np.finfo(np.float64).eps  # of a column, below which it is constant
_TYPICAL = 0.025  # of robust estimators without a support: rows beyond this quantile are left out


@dataclass(frozen=True)
class Choice:
    """The parameters of `BootstrapNull` that decide about rows and engines, checked."""

    n_resamples: int
    kind: str
    holdout: float | None
    refit: str
    max_bytes: int
    n_jobs: int | None


@dataclass(frozen=True)
class Plan:
    """Draws and what happens to them.

    Attributes
    ----------
    engine : {"moments", "gram", "fast-robust", "spectral", "refit"}
        What makes the draws.
    draws : callable
        From a SeedSequence to blocks of draws.
    train, new : callable or None
        Maps of the distances; without a `train` the training distances come from the `new` ones by `pull`.
    pull : callable or None
        See `train`.
    learn : callable or None
        From the first replicates to `train`, where that depends on them.
    resize : Resize or None
        What multiplies the distances that the maps give, where a fit of fewer rows has another scale.
    n_train : int
        Rows of the fit to all rows.
    per_replicate : tuple of int
        How many training and new rows the maximum of a replicate is taken over.
    n_left : int
        Training rows that no replicate draws, because a robust estimate does not rest on them.
    other : Plan or None
        A second law, of which that one counts at each distance which says less against a row.
    """

    engine: str
    draws: Callable[[np.random.SeedSequence], Iterator[Draws]]
    n_train: int
    per_replicate: tuple[int, int]
    train: Map | None = None
    new: Map | None = None
    pull: Map | None = None
    learn: Callable[[FloatArray, FloatArray], Map] | None = None
    resize: Resize | None = None
    n_left: int = 0
    other: Plan | None = None

    def references(self, seed: np.random.SeedSequence) -> Iterator[tuple[FloatArray, FloatArray, int]]:
        """Yield blocks of mapped training and new distances, and how many resamples were redrawn for them."""
        draws, first, maps = iter(self.draws(seed)), list[Draws](), (self.train, self.new)
        if self.learn is not None or self.resize is not None:
            for one in draws:
                first.append(one)
                if sum(len(block.new) for block in first) >= FIRST:
                    break
            maps = self._learned(first, seed)
        for one in chain(first, draws):
            yield self._mapped(one, *maps)

    def _learned(self, draws: list[Draws], seed: np.random.SeedSequence) -> tuple[Map | None, Map | None]:
        kept, held = (np.concatenate([getattr(d, kind) for d in draws])[:FIRST] for kind in ("train", "new"))
        train = self.train if self.learn is None else self.learn(kept, held)
        if self.resize is None:
            return train, self.new
        return self.resize.train_map(kept, train), self.resize.new_map(seed, held, self.new)

    def _mapped(
        self, draws: Draws, train_map: Map | None, new_map: Map | None
    ) -> tuple[FloatArray, FloatArray, int]:
        new = draws.new if new_map is None else new_map(draws.new)
        if self.pull is not None:
            return self.pull(draws.new), new, draws.redrawn
        return draws.train if train_map is None else train_map(draws.train), new, draws.redrawn


def make_plan(estimator: Any, X: ArrayLike, choice: Choice) -> Plan:
    """Return the plan for a fitted estimator and its training rows."""
    space, scatter = resolve(estimator)
    facts = training_facts(estimator, X)
    if space is None:
        X = as_rows(X, name="X", n_features=np.size(scatter.location_))
    if _num_samples(X) != facts.n_samples:
        raise ValueError(
            f"X has {_num_samples(X)} rows, and {type(scatter).__name__} was fitted to {facts.n_samples}. Pass the "
            "rows that it was fitted to, all of them."
        )
    if facts.rank < 1:
        raise _no_spread(facts)
    known = space_is_fixed(space) or (_equivariant(scatter, facts) and space_keeps_law(space))
    known |= choice.kind == "parametric" and facts.robust and space_keeps_robust_law(space)
    target, rows = (scatter, _table(space, X)) if known else (estimator, X)
    inside = None
    if facts.robust:
        Z: Any = rows if known else _table(space, X)
        inside = _clean(inner_of(scatter), facts, Z)
        if not _vary(Z[inside]):
            raise _no_spread(facts)
    if choice.kind != "nonparametric":
        return _generated(target, rows, space, scatter, facts, choice, inside)
    if inside is not None:
        rows = _safe_indexing(rows, np.flatnonzero(inside))
        n = int(np.count_nonzero(inside))
    else:
        n = facts.n_samples
    n_held = held_rows(choice.holdout, n, facts)
    if n_held == 0:
        return _out_of_bag(target, rows, scatter, facts, choice, n)
    return _holdout(target, rows, scatter, facts, choice, n, n_held)


def _holdout(
    target: Any, rows: Any, scatter: Any, facts: ScatterFacts, choice: Choice, n: int, n_held: int
) -> Plan:
    """Fits without some rows: these are new, the others training rows; all distances are mapped to those of n rows."""
    N, centred = n - n_held, not facts.assume_centered
    engine, make = _engine(target, rows, scatter, choice)
    equivariant = target is scatter and _equivariant(scatter, facts)
    grow = partial(grown, N=N, n=n, centred=centred)
    c, new = own_share(scatter), None
    faded = facts.effective_n_samples is not None  # fewer rows, the same memory: nothing to map
    if equivariant:
        new = new_row_map(N, n, facts.rank, centred=centred)
    elif target is scatter and is_sketch(scatter) and _equivariant_inside(scatter, rows):
        # The mean training distance is the mean weight, whatever n; new rows are farther by what the rank takes.
        c, new = 0.0, new_row_factor(N, n, facts.rank, centred=centred)

    def learn(q: FloatArray, D: FloatArray) -> Map:
        learned = partial(grow, c=own_weight(q, D, N, centred=centred))
        # A row's weight goes by its exact distance, of which the sketched one says little.
        return typical_factor(q, learned) if is_sketch(scatter) else learned

    train: Map | None = None
    if c is not None and not facts.robust and not faded:
        train = grown_normal(N, n, facts.rank, centred=centred) if equivariant else partial(grow, c=c)

    resize = None
    n_more = more_held(n, n_held)
    if grows(scatter, facts) and n_more > n_held:
        again = partial(_again, make, target, rows, choice, n_more)
        resize = Resize(again, partial(squared_distances, target, rows), n, n_held, n_more)
    return Plan(
        engine=engine,
        draws=partial(_call, make, target, rows, choice, n_held),
        n_train=facts.n_samples,
        per_replicate=(N, n_held),
        train=train,
        new=new,
        learn=learn if c is None and not facts.robust and not faded else None,
        resize=resize,
        n_left=facts.n_samples - n,
    )


def _out_of_bag(target: Any, rows: Any, scatter: Any, facts: ScatterFacts, choice: Choice, n: int) -> Plan:
    """Resamples: the rows that one misses are new to a fit that is worth about n / 2 rows, and are mapped to n."""
    p, centred = facts.rank, not facts.assume_centered
    equivariant = target is scatter and _equivariant(scatter, facts)
    size = effective_size(n, p) if equivariant else np.nan
    if not size > p + 1:
        why = (
            f"with n = {n} rows of rank {p} a resample has too few distinct ones"
            if equivariant
            else f"this map is one of affine equivariant scatters without a step that learns, and "
            f"{type(scatter).__name__ if target is scatter else 'this pipeline'} is none"
        )
        raise ValueError(
            "holdout=None maps the distances of rows that a resample misses from its effective size, about n / 2, to "
            f"n, and {why}. Use holdout=0.1, which leaves out rows without replacement."
        )
    engine, make = _engine(target, rows, scatter, choice)
    one_less = new_row_map(size, n - 1, p, centred=centred)
    c = 0.0 if facts.robust else 1.0
    missed = round(n * (1 - 1 / n) ** n)
    return Plan(
        engine=engine,
        draws=partial(_call, make, target, rows, choice, 0),
        n_train=facts.n_samples,
        per_replicate=(missed, missed),
        new=new_row_map(size, n, p, centred=centred),
        pull=lambda D: pulled_in(one_less(D), n, c, centred=centred),
        n_left=facts.n_samples - n,
    )


def _generated(
    target: Any, rows: Any, space: Any, scatter: Any, facts: ScatterFacts, choice: Choice, inside: Any
) -> Plan:
    """Rows that are made where the scatter works, and brought back to where the estimator starts."""
    back = None if target is scatter else _way_back(space, choice.kind)
    Z = rows if target is scatter else _table(space, rows)
    # A sketch has no rows to make: they come from the law under it, and the refits measure them by its map.
    inner = inner_of(scatter)
    facts = scatter_facts(inner, Z)
    if inside is not None:
        Z = Z[inside]
    location: FloatArray = np.asarray(scatter.location_, dtype=np.float64)
    n, make, new = facts.n_samples, partial(_made, target, rows, choice), None
    centred = not facts.assume_centered
    if choice.kind == "wild":
        k = len(Z)
        n_held = held_rows(choice.holdout or 0.1, k, facts)
        if target is scatter and _equivariant(scatter, facts):
            new = new_row_map(k - n_held, k, facts.rank, centred=centred)
        signs = partial(SignSampler, centred=Z - location, location=location, n_held=n_held, back=back)
        return Plan("refit", partial(make, signs), n, (k, n_held), new=new, n_left=n - k)
    if choice.kind == "parametric" and _pulled_to_a_target(inner, facts):
        whitener, location = made.clean_normal(Z)
    elif facts.kind == "spectral":
        whitener = made.sample_whitener(Z)
        if choice.kind == "elliptical" and whitener.rank >= n - centred:
            raise _all_as_far(n)
    else:
        whitener = made.whitener_of(inner, facts)

    def plan(whitener: Whitener, other: Plan | None = None) -> Plan:
        white = whitener.whiten(Z - location)
        law = partial(
            GeneratedSampler, kind=choice.kind, Z=white, radii=_radii(white, inner, facts), location=location,
            whitener=whitener, n=n, back=back, span=made.span_of(Z, location, whitener, centred=centred),
        )  # fmt: skip
        left = 0 if choice.kind == "parametric" else n - len(Z)
        return Plan("refit", partial(make, law), n, (n, n), n_left=left, other=other)

    two = choice.kind == "parametric" and facts.kind == "spectral" and not facts.robust
    return plan(whitener, plan(made.shrunk_whitener(Z)) if two else None)


def _made(
    target: Any, rows: Any, choice: Choice, sampler: Any, seed: np.random.SeedSequence
) -> Iterator[Draws]:
    return refit_draws(
        target,
        rows,
        n_resamples=choice.n_resamples,
        seed=seed,
        n_held=0,
        n_jobs=choice.n_jobs,
        sampler=sampler(seed=seed),
    )


def _all_as_far(n: int) -> ValueError:
    return ValueError(
        f"kind='elliptical' resamples how far the {n} rows are from their centre in whitened coordinates, and in the "
        f"{n - 1} dimensions that they span all are equally far. Use kind='nonparametric', 'smoothed' or 'parametric'."
    )


def _radii(white: FloatArray, scatter: Any, facts: ScatterFacts) -> FloatArray:
    """Return distances of rows as if location and covariance had been known: each row has pulled the fit its way."""
    q, n = np.einsum("ij,ij->i", white, white), facts.n_samples
    centred = not facts.assume_centered
    if facts.robust or not _equivariant(scatter, facts) or n < facts.rank + 3:
        return np.sqrt(q)
    left_out = q * n / (n - 1 - q) if centred else q * (n - 1) / (n - q)
    return np.sqrt(new_row_map(n - 1, 1e6 * n, facts.rank, centred=centred)(left_out))


def _way_back(space: Any, kind: str) -> Any:
    """Return the inverse of steps that only shift and scale, from the scatter to the rows of the pipeline."""
    step = _learning_step(space, affine=True)
    if step is None and hasattr(space, "inverse_transform"):
        return space.inverse_transform
    name = type(space.steps[-1][1] if step is None else step).__name__
    raise ValueError(
        f"kind={kind!r} makes rows where the scatter works, and {name}, which is refitted to each resample, has no "
        "way back from there to the rows it learns from. Use kind='nonparametric', which resamples the rows and "
        "refits the whole pipeline."
    )


def _engine(target: Any, rows: Any, scatter: Any, choice: Choice) -> tuple[str, Any]:
    """Return the name of an engine, and the engine."""
    if choice.refit == "fast" and target is scatter:
        if fast_moments(scatter):
            return ("moments" if rows.shape[0] >= rows.shape[1] else "gram"), moment_draws
        if fast_robust(scatter):
            return "fast-robust", mcd_draws
        if fast_spectral(scatter) and choice.holdout is not None:
            return "spectral", spectral_draws
    return "refit", partial(refit_draws, n_jobs=choice.n_jobs)


def _call(make: Any, target: Any, rows: Any, choice: Choice, n_held: int, seed: Any) -> Iterator[Draws]:
    return make(
        target,
        rows,
        n_resamples=choice.n_resamples,
        seed=seed,
        n_held=n_held,
        max_bytes=choice.max_bytes,
        kept=n_held > 0,
    )


def _again(
    make: Any, target: Any, rows: Any, choice: Choice, n_held: int, seed: Any, b: int
) -> Iterator[Draws]:
    return _call(make, target, rows, replace(choice, n_resamples=b), n_held, seed)


def _no_spread(facts: ScatterFacts) -> RankDeficientError:
    return RankDeficientError(
        f"The {facts.n_samples} training rows, or most of them, are equal (rank 0), so that there are no distances "
        "to resample. Pass rows that differ."
    )


def _vary(Z: FloatArray) -> bool:
    """Tell whether rows differ by more than rounding: a regularised covariance of equal rows has full rank."""
    low, high = Z.min(axis=0), Z.max(axis=0)
    return bool((high - low > _ROUNDING * np.maximum(np.abs(low), np.abs(high))).any())


def _table(space: Any, X: Any) -> FloatArray:
    """Return the rows where the scatter works, (n, p) in float64."""
    return np.ascontiguousarray(X if space is None else space.transform(X), dtype=np.float64)


def _equivariant(scatter: Any, facts: ScatterFacts) -> bool:
    if facts.regularized or facts.effective_n_samples is not None:  # the maps by n are those of equal weights
        return False
    return bool(getattr(scatter, "affine_equivariant", facts.kind in ("empirical", "mcd")))


def _equivariant_inside(scatter: Any, Z: FloatArray) -> bool:
    inner = inner_of(scatter)
    return _equivariant(inner, scatter_facts(inner, Z))


def _pulled_to_a_target(scatter: Any, facts: ScatterFacts) -> bool:
    """Tell whether a robust covariance is shrunk, by an estimator that does not mind the units of the columns."""
    return facts.robust and facts.regularized and "columns" in getattr(scatter, "equivariances", ())


def _clean(scatter: Any, facts: ScatterFacts, Z: FloatArray) -> Any:
    """Return which rows a robust estimate rests on: those that resampling may draw."""
    support = getattr(scatter, "support_", None)
    if support is not None and np.asarray(support).shape == (len(Z),):
        return np.asarray(support, dtype=bool)
    from scipy import stats

    d2, law = squared_distances(scatter, Z), stats.chi2(max(facts.rank, 1))
    return d2 <= np.median(d2) * law.isf(_TYPICAL) / law.median()
