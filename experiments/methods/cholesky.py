"""Regressions of each column on those before it: scatters for columns that have an order, or that are many."""

from fmahal import ModifiedCholesky, ModifiedCholeskyCV

from .._spec import method

method(
    "modified-cholesky",
    lambda seed: ModifiedCholesky(penalty="l2", alpha=0.1, random_state=seed),
    roles=("size", "cost"),
    label="ModifiedCholesky(l2, 0.1)",
    options={"nulls": ("chi2", "bootstrap", "split")},
)
method(
    "modified-cholesky-cv",
    lambda seed: ModifiedCholeskyCV(random_state=seed),
    label="ModifiedCholeskyCV",
    roles=("size", "precision", "tabular", "cost"),
    options={"nulls": ("chi2", "split")},  # a bootstrap repeats its cross-validation a hundred times
)
