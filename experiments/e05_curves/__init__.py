"""Who finds outlying curves: nine models of outliers, our variants and the detectors of scikit-fda."""

from .._spec import Experiment
from .spec import data_sets, measure, repetitions

EXPERIMENT = Experiment(
    name="e05",
    title="Who finds outlying curves",
    role="curves",
    data_sets=data_sets,
    repetitions=repetitions,
    measure=measure,
    modules=("experiments.methods.curves", "experiments.methods.peers_skfda"),
)
