"""What must not be loaded is not loaded: one fresh process for all, which says after which step something was."""

import subprocess
import sys

STEPS = """
import sys
import numpy as np
import fmahal
import fmahal.datasets
import fmahal.plotting

X = np.random.default_rng(0).standard_normal((9, 7))


def lean(step, *heavy):
    loaded = [name for name in ("skfda", "matplotlib", *heavy) if name in sys.modules]
    assert not loaded, f"{loaded} loaded by {step}"


fmahal.mahalanobis([[1.0]], covariance=[[1.0]])
lean("distances", "sklearn", "pandas")
fmahal.datasets.load_elnino(), fmahal.datasets.make_outlying_curves()
lean("data sets")
fmahal.plotting.DistanceQQDisplay, fmahal.plotting.ToleranceEllipseDisplay
lean("the names of displays")
import fmahal.inference

lean("the two-sample test")
from fmahal.models.metric import MahalanobisMetric

metric = MahalanobisMetric(fmahal.LedoitWolf()).fit(X)
metric.pairwise(X), metric(X, X)
lean("metrics")
from fmahal.spaces import L2Space, SobolevSpace, is_fdata

for space in (L2Space(), SobolevSpace()):
    Z = space.fit_transform(X)
    space.inverse_transform(Z)
    space.split_contributions(Z, Z)
assert not is_fdata(X)
lean("spaces of arrays")
"""


def test_nothing_heavy_is_loaded_before_it_is_needed():
    done = subprocess.run([sys.executable, "-c", STEPS], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
