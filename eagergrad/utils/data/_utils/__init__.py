"""How batches are put together, seeded and carried between processes."""

from eagergrad.utils.data._utils import collate, worker
