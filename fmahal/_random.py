"""One place that turns ``random_state`` into a stream."""

import numpy as np

from ._typing import RandomState


def as_generator(random_state: RandomState) -> np.random.Generator:
    """Return a `numpy.random.Generator` for an int, a RandomState, a Generator or None.

    An int gives the same stream on every call; a RandomState or a Generator is advanced by the call, so
    that two calls differ and the pair is reproducible.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    return np.random.default_rng(as_seed_sequence(random_state))


def as_seed_sequence(random_state: RandomState) -> np.random.SeedSequence:
    """Return the one `numpy.random.SeedSequence` of a call.

    Kernels take their keys from ``seq.generate_state``; nothing else of the call draws from it.
    """
    if random_state is None:
        return np.random.SeedSequence()
    if isinstance(random_state, np.random.Generator):
        return np.random.SeedSequence(random_state.integers(0, 2**32, size=4).tolist())
    if isinstance(random_state, np.random.RandomState):
        words = random_state.randint(0, 2**32, size=4, dtype=np.uint64)
        return np.random.SeedSequence(words.tolist())
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        if random_state < 0:
            raise ValueError(f"random_state must be non-negative, got {random_state}.")
        return np.random.SeedSequence(int(random_state))
    raise ValueError(
        "random_state takes an int, a numpy RandomState, a numpy Generator or None, "
        f"got {type(random_state).__name__}."
    )


def as_seed(random_state: RandomState) -> int:
    """Return one integer that stands for ``random_state``: itself when it is one, else drawn from it."""
    sequence = as_seed_sequence(random_state)
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(sequence.generate_state(1, np.uint64)[0])
