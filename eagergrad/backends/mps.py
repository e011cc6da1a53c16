"""Apple's GPUs, which eagergrad does not use."""


def is_available() -> bool:
    """Return False: there is no MPS backend."""
    return False


def is_built() -> bool:
    """Return False: there is no MPS backend."""
    return False
