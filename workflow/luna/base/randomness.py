"""Named streams of random numbers: everything random derives from the config's one seed."""

import hashlib

import numpy as np


def rng(seed: int, stream: str, *numbers: int) -> np.random.Generator:
    """A generator that depends on the seed, the stream's name and further numbers, such as the epoch.

    Streams are independent: drawing more from one, or adding another, changes nothing elsewhere.
    """
    name = np.frombuffer(hashlib.sha256(stream.encode()).digest(), dtype="<u4")
    return np.random.default_rng([seed, *name.tolist(), *numbers])


def torch_seed(seed: int, stream: str, *numbers: int) -> int:
    """A seed for torch's own generators, from the same streams."""
    return int(rng(seed, stream, *numbers).integers(2**63))
