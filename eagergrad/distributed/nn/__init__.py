"""Collectives with gradients."""

from .functional import *
