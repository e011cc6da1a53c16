"""The old name of `eagergrad.hub.load_state_dict_from_url`."""

from eagergrad.hub import load_state_dict_from_url as load_url

__all__ = ["load_url"]
