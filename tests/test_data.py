"""Datasets, samplers, collation and the loader, in process and with workers."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import eagergrad as eg
from eagergrad.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
)
from eagergrad.utils.data._utils import seeding

forked = pytest.mark.host("a forked process computes on the CPU")


class Noisy(Dataset):
    """Samples that draw from all three global generators."""

    def __len__(self):
        return 11

    def __getitem__(self, i):
        return i, eg.randn(2), float(np.random.rand()), random.random()


class Failing(Dataset):
    def __init__(self, what):
        self.what = what

    def __len__(self):
        return 6

    def __getitem__(self, i):
        if i == 3:
            self.what()
        return i


class Numbers(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        start, step = (info.id, info.num_workers) if info else (0, 1)
        return iter(range(start, self.n, step))


def batches(loader):
    return [b.tolist() for b in loader]


# ---- datasets -----------------------------------------------------------------------------------


def test_tensor_dataset_gives_rows():
    data = TensorDataset(eg.arange(4), eg.arange(8).reshape(4, 2))
    assert len(data) == 4
    assert [t.tolist() for t in data[1]] == [1, [2, 3]]
    with pytest.raises(AssertionError, match="length"):
        TensorDataset(eg.zeros(2), eg.zeros(3))


def test_concat_dataset_finds_samples_in_all_parts():
    data = ConcatDataset([range(3), range(10, 12)])
    assert [data[i] for i in range(5)] == [0, 1, 2, 10, 11]
    assert data[-1] == 11 and len(data) == 5
    with pytest.raises(ValueError):
        data[-6]


def test_adding_datasets_concatenates():
    a = TensorDataset(eg.arange(2))
    assert len(a + a) == 4
    assert list(Numbers(2) + Numbers(1)) == [0, 1, 0]
    assert list(ChainDataset([Numbers(1), Numbers(2)])) == [0, 0, 1]


def test_stack_dataset_pairs_samples():
    assert StackDataset(range(3), range(3))[2] == (2, 2)
    data = StackDataset(a=range(3), b=range(10, 13))
    assert data[1] == {"a": 1, "b": 11}
    with pytest.raises(ValueError):
        StackDataset(range(2), range(3))


def test_subset_and_split():
    assert Subset(range(10, 20), [3, 1])[0] == 13
    g = eg.Generator().manual_seed(0)
    a, b = random_split(range(10), [7, 3], generator=g)
    assert sorted([*a.indices, *b.indices]) == list(range(10))
    assert [len(p) for p in random_split(range(10), [0.33, 0.33, 0.34])] == [4, 3, 3]
    with pytest.raises(ValueError, match="sum"):
        random_split(range(10), [5, 6])


# ---- samplers -----------------------------------------------------------------------------------


def test_samplers_visit_what_they_should():
    data = range(6)
    assert list(SequentialSampler(data)) == [0, 1, 2, 3, 4, 5]
    assert sorted(RandomSampler(data)) == list(data)
    assert len(list(RandomSampler(data, num_samples=15))) == 15
    assert len(list(RandomSampler(data, replacement=True, num_samples=9))) == 9
    assert sorted(SubsetRandomSampler([4, 2])) == [2, 4]
    assert set(WeightedRandomSampler([0.0, 1.0, 0.0], 5)) == {1}
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    with pytest.raises(ValueError):
        RandomSampler(data, num_samples=0)
    with pytest.raises(ValueError, match="positive"):
        RandomSampler([])


def test_generator_fixes_the_order():
    orders = [list(RandomSampler(range(50), generator=eg.Generator().manual_seed(7))) for _ in "ab"]
    assert orders[0] == orders[1]


def test_distributed_sampler_covers_the_dataset():
    parts = [DistributedSampler(range(10), 3, r) for r in range(3)]
    seen = [i for p in parts for i in p]
    assert set(seen) == set(range(10)) and len(seen) == 12
    first = list(parts[0])
    parts[0].set_epoch(1)
    assert list(parts[0]) != first
    assert len(list(DistributedSampler(range(10), 3, 0, drop_last=True))) == 3


# ---- collation ----------------------------------------------------------------------------------


def test_collate_keeps_the_structure():
    Point = namedtuple("Point", "x y")
    out = default_collate([{"p": Point(1, 2.0), "s": "a"}, {"p": Point(3, 4.0), "s": "b"}])
    assert out["p"].x.tolist() == [1, 3] and out["p"].y.dtype == eg.float64
    assert out["s"] == ["a", "b"]
    stacked = default_collate([np.ones(2, "float32"), np.zeros(2, "float32")])
    assert stacked.shape == (2, 2) and stacked.dtype == eg.float32
    assert default_collate([np.float32(1), np.float32(2)]).tolist() == [1.0, 2.0]


def test_collated_text_in_samples_is_a_tuple():
    assert default_collate([("a", ["x"]), ("b", ["y"])]) == [("a", "b"), [("x", "y")]]
    assert default_collate(["a", "b"]) == ["a", "b"]
    assert default_collate([{"k": "a"}, {"k": "b"}]) == {"k": ["a", "b"]}


def test_numbers_are_collated_by_all_of_them():
    mixed = default_collate([1, 2.5])
    assert mixed.dtype == eg.float32 and mixed.tolist() == [1.0, 2.5]
    assert default_collate([True, False]).dtype == eg.bool
    assert default_collate([1.0, 2]).dtype == eg.float64


@pytest.mark.parametrize("workers", [0, 1])
def test_an_iterator_knows_how_many_batches_there_are(workers):
    batches = iter(DataLoader(range(5), batch_size=2, num_workers=workers))
    assert len(batches) == 3 and next(batches).tolist() == [0, 1]


def test_collate_refuses_what_does_not_fit():
    with pytest.raises(RuntimeError, match="shape"):
        default_collate([eg.zeros(2), eg.zeros(3)])
    with pytest.raises(RuntimeError, match="equal size"):
        default_collate([[1], [1, 2]])
    with pytest.raises(TypeError, match="object"):
        default_collate([object()])


def test_convert_turns_arrays_into_tensors():
    out = default_convert({"a": np.arange(3), "b": "text"})
    assert isinstance(out["a"], eg.Tensor) and out["b"] == "text"


# ---- the loader ---------------------------------------------------------------------------------


def test_loader_batches_in_order():
    data = TensorDataset(eg.arange(5), eg.arange(5) * 2.0)
    loader = DataLoader(data, batch_size=2)
    assert [(x.tolist(), y.tolist()) for x, y in loader] == [
        ([0, 1], [0.0, 2.0]),
        ([2, 3], [4.0, 6.0]),
        ([4], [8.0]),
    ]
    assert len(loader) == 3 and len(DataLoader(data, 2, drop_last=True)) == 2


def test_a_batch_never_shares_memory_with_the_dataset():
    x = eg.zeros(4)
    for (b,) in DataLoader(TensorDataset(x), batch_size=2):
        b.fill_(1.0)
    assert x.tolist() == [0.0] * 4


def test_fast_and_plain_paths_agree():
    class Plain(TensorDataset):
        def __getitem__(self, i):
            return super().__getitem__(i)

    def read(kind, **options):
        eg.manual_seed(5)
        data = kind(eg.arange(23), eg.arange(46).reshape(23, 2))
        loader = DataLoader(Subset(data, list(range(22, 0, -1))), **options)
        return [[t.tolist() for t in b] for b in loader]

    for options in [{}, {"batch_size": 4, "shuffle": True}, {"batch_size": 5, "drop_last": True}]:
        assert read(TensorDataset, **options) == read(Plain, **options)


def test_no_batching_and_own_collate():
    assert batches(DataLoader(TensorDataset(eg.arange(2)), batch_size=None, collate_fn=eg.stack))
    assert list(DataLoader(range(4), batch_size=2, collate_fn=sum)) == [1, 5]
    assert batches(DataLoader(range(4), batch_sampler=[[3, 0], [1]])) == [[3, 0], [1]]
    assert batches(DataLoader(range(4), sampler=[2, 1], batch_size=2)) == [[2, 1]]


@pytest.mark.parametrize(
    "options",
    [
        {"sampler": [0], "shuffle": True},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_size": None, "drop_last": True},
        {"batch_size": 0},
        {"num_workers": -1},
        {"timeout": -1},
        {"prefetch_factor": 2},
        {"persistent_workers": True},
        {"multiprocessing_context": "fork"},
    ],
)
def test_options_that_exclude_each_other_are_refused(options):
    with pytest.raises(ValueError, match=r"DataLoader|BatchSampler"):
        DataLoader(range(3), **options)


def test_iterable_dataset_in_batches():
    assert batches(DataLoader(Numbers(5), batch_size=2)) == [[0, 1], [2, 3], [4]]
    assert batches(DataLoader(Numbers(5), batch_size=2, drop_last=True)) == [[0, 1], [2, 3]]
    with pytest.raises(ValueError):
        DataLoader(Numbers(5), shuffle=True)


def read_noisy(num_workers, **options):
    eg.manual_seed(1)
    np.random.seed(2)
    random.seed(3)
    loader = DataLoader(Noisy(), 3, shuffle=True, num_workers=num_workers, **options)
    return [[column.tolist() for column in b] for b in loader]


@forked
def test_random_samples_do_not_depend_on_the_number_of_workers():
    alone = read_noisy(0)
    values = [v for b in alone for v in b[2]]
    assert len(set(values)) == len(values)
    assert read_noisy(1) == alone
    assert read_noisy(3) == alone


def test_reading_in_process_leaves_the_random_state_alone():
    def draw(dataset):
        eg.manual_seed(0)
        np.random.seed(0)
        list(DataLoader(dataset))
        return eg.rand(1).item(), np.random.rand()

    assert draw(Noisy()) == draw(TensorDataset(eg.arange(3)))


def test_generators_are_seeded_alike_through_their_functions(monkeypatch):
    fast = read_noisy(0)
    state = random.getstate()
    monkeypatch.setattr(seeding, "_random_memory", None)
    assert read_noisy(0) == fast
    random.setstate(state)


def test_what_generators_hold_back_is_put_back():
    random.seed(5)
    random.gauss(0, 1)
    held = random.getstate()
    list(DataLoader(Noisy()))
    assert random.getstate() == held


def test_loaders_inside_of_samples_draw_their_own_numbers():
    class Outer(Noisy):
        def __getitem__(self, i):
            before = (random.random(), np.random.rand())
            list(DataLoader(Noisy()))
            return (*before, random.random(), np.random.rand())

    drawn = [v.item() for row in DataLoader(Outer()) for v in row]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("shuffle", [False, True])
def test_containers_are_read_as_datasets_of_the_same_samples(shuffle):
    class Samples(Dataset):
        def __init__(self, data):
            self.data = data

        def __len__(self):
            return len(self.data)

        def __getitem__(self, i):
            return self.data[i]

    x = eg.arange(14.0).reshape(7, 2)
    for data in (x, x.numpy(), x[:, 0].numpy(), range(7), [(i, str(i)) for i in range(7)]):
        parts = (data, Subset(data, [5, 0, 3]), ConcatDataset([data, data]))
        slow = Samples(data), Subset(Samples(data), [5, 0, 3]), ConcatDataset([Samples(data)] * 2)
        for ours, theirs in zip(parts, slow, strict=True):
            for size in (None, 1, 3):
                read = []
                for dataset in (ours, theirs):
                    eg.manual_seed(4)
                    loader = DataLoader(dataset, size, shuffle)
                    read.append([repr(b) for b in loader])
                assert read[0] == read[1]


def test_epochs_differ():
    loader = DataLoader(Noisy(), 11)
    assert next(iter(loader))[2].tolist() != next(iter(loader))[2].tolist()


# ---- workers ------------------------------------------------------------------------------------


@forked
def test_workers_carry_any_batch():
    class Mixed(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return {"x": eg.full((64, 64), float(i)), "s": str(i), "h": eg.ones(3).bfloat16() * i}

    got = list(DataLoader(Mixed(), batch_size=2, num_workers=2))
    assert [b["s"] for b in got] == [["0", "1"], ["2", "3"]]
    assert got[1]["x"][1, 5, 5] == 3 and got[1]["h"].dtype == eg.bfloat16
    assert got[0]["x"].shape == (2, 64, 64) and got[0]["x"][0, 0, 0] == 0  # memory is not reused


@forked
def test_iterable_dataset_split_over_workers():
    got = batches(DataLoader(Numbers(7), batch_size=2, num_workers=2))
    assert sorted(v for b in got for v in b) == list(range(7))


@forked
def test_persistent_workers_stay_and_restart_after_break():
    loader = DataLoader(range(20), batch_size=2, num_workers=2, persistent_workers=True)
    next(iter(loader))
    pids = [p.process.pid for p in loader._workers._processes]
    assert batches(loader) == [[i, i + 1] for i in range(0, 20, 2)]
    assert [p.process.pid for p in loader._workers._processes] == pids
    loader._workers.close()


@forked
def test_worker_init_and_info():
    def show(i):
        info = get_worker_info()
        assert info.id == i and info.num_workers == 2

    assert get_worker_info() is None
    assert len(list(DataLoader(range(4), num_workers=2, worker_init_fn=show))) == 4


@forked
def test_own_seeds_of_worker_init_fn_are_kept():
    loader = DataLoader(Noisy(), 11, num_workers=1, worker_init_fn=lambda i: np.random.seed(42))
    got = next(iter(loader))[2].tolist()
    np.random.seed(42)
    assert got == [np.random.rand() for _ in range(11)]


@forked
def test_exception_arrives_with_its_traceback():
    def fail():
        raise KeyError("missing thing")

    with pytest.raises(KeyError, match=r"missing thing") as caught:
        list(DataLoader(Failing(fail), num_workers=2))
    assert "in fail" in str(caught.value)


@forked
def test_killed_worker_is_an_error():
    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RuntimeError, match="SIGKILL"):
        list(DataLoader(Failing(die), num_workers=2))


@forked
def test_slow_worker_times_out():
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=r"0\.3 seconds"):
        list(DataLoader(Failing(lambda: time.sleep(60)), num_workers=1, timeout=0.3))
    assert time.monotonic() - started < 10


@forked
def test_workers_end_when_the_iterator_is_dropped():
    it = iter(DataLoader(range(100), num_workers=2))
    next(it)
    processes = [p.process for p in it._processes]
    del it
    assert not any(p.is_alive() for p in processes)


@forked
def test_interrupt_ends_all_workers():
    program = textwrap.dedent(
        """
        import os, signal, time
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job may ignore it
        from eagergrad.utils.data import DataLoader
        it = iter(DataLoader(range(10**6), num_workers=2))
        next(it)
        try:
            print(*[p.process.pid for p in it._processes], flush=True)  # here the signal may come
            while True:
                next(it); time.sleep(0.01)
        except KeyboardInterrupt:
            del it
            print("interrupted", flush=True)
        """
    )
    root = str(Path(eg.__file__).resolve().parents[1])
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
        cwd=tempfile.gettempdir(),  # the checkout's folder of the package need not be built
        text=True,
        start_new_session=True,
    )
    pids = [int(p) for p in child.stdout.readline().split()]
    os.killpg(child.pid, signal.SIGINT)
    out, _ = child.communicate(timeout=30)
    assert "interrupted" in out
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_chain_of_datasets_without_length_is_read_to_the_end():
    class Count(eg.utils.data.IterableDataset):
        def __iter__(self):
            return iter(range(3))

    loader = eg.utils.data.DataLoader(eg.utils.data.ChainDataset([Count(), Count()]), batch_size=4)
    assert [b.tolist() for b in loader] == [[0, 1, 2, 0], [1, 2]]
    with pytest.raises(TypeError):
        len(loader)
