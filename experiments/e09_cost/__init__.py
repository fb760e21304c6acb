"""e09: what fits and scores cost."""

from .spec import EXPERIMENT as EXPERIMENT
