"""e04: what sketches cost and what they save."""

from .spec import EXPERIMENT as EXPERIMENT
