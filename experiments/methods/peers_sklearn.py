"""scikit-learn's covariance estimators, as its users have them."""

from sklearn.covariance import OAS, GraphicalLassoCV, LedoitWolf, MinCovDet

from .._spec import method
from .sample import more_rows_than_columns

method(
    "sklearn-ledoit-wolf",
    lambda seed: LedoitWolf(),
    roles=("precision", "tabular", "cost"),
    label="LedoitWolf (scikit-learn)",
    package="scikit-learn",
    options={"same_as": "ledoit-wolf"},
)
method(
    "sklearn-oas",
    lambda seed: OAS(),
    roles=("precision", "cost"),
    label="OAS (scikit-learn)",
    package="scikit-learn",
    options={"same_as": "oas"},
)
method(
    "sklearn-graphical-lasso",
    lambda seed: GraphicalLassoCV(alphas=4, n_refinements=2),
    roles=("precision",),
    label="GraphicalLassoCV (scikit-learn)",
    package="scikit-learn",
    applies=lambda n, p: p <= 50 and n > p,  # elsewhere it takes minutes, or does not converge
    options={"slow": True},
)
method(
    "sklearn-mcd",
    lambda seed: MinCovDet(random_state=seed),
    roles=("robustness", "tabular", "cost"),
    label="MinCovDet (scikit-learn)",
    package="scikit-learn",
    applies=more_rows_than_columns,
    options={"robust": True},
)
