"""Programs that import torch and get eagergrad: each in an interpreter of its own."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from eagergrad.torch_version import TorchVersion
from interpreter import run, run_code

HEAD = """
from eagergrad import as_torch
import eagergrad as eg, pickle, sys
as_torch.install()
"""


def under(code: str, folder: Path) -> str:
    """What a program prints that makes torch eagergrad first."""
    return run_code(HEAD + textwrap.dedent(code), folder)


def test_every_module_is_the_same_under_both_names(tmp_path: Path) -> None:
    under(
        """
        import torch, torch.nn as nn, torch.nn.functional as F
        import torch.backends.cudnn as cudnn
        from torch.utils.data import DataLoader, TensorDataset
        from torch.optim.lr_scheduler import StepLR
        assert torch is eg and nn is eg.nn and F is eg.nn.functional and torch.torch is torch
        assert sys.modules["torch.nn.functional"] is sys.modules["eagergrad.nn.functional"]
        assert cudnn is eg.backends.cudnn and StepLR is eg.optim.lr_scheduler.StepLR
        assert nn.__name__ == nn.__spec__.name == "eagergrad.nn"
        assert isinstance(eg.nn.Linear(1, 1), nn.Module)
        loader = DataLoader(TensorDataset(torch.arange(4.0)), batch_size=2, num_workers=1)
        assert [x.tolist() for (x,) in loader] == [[0.0, 1.0], [2.0, 3.0]]
        """,
        tmp_path,
    )


def test_pickles_under_either_name_are_read(tmp_path: Path) -> None:
    under(
        """
        assert pickle.loads(b"ctorch.nn.modules.linear\\nLinear\\n.") is eg.nn.Linear
        import torch
        x = pickle.loads(pickle.dumps(torch.nn.Linear(2, 1)))
        assert type(x) is eg.nn.Linear
        assert pickle.loads(pickle.dumps(torch.complex64)) is torch.complex64
        """,
        tmp_path,
    )


def test_versions_are_pytorchs_and_eagergrads(tmp_path: Path) -> None:
    before = run_code("import eagergrad as eg; print(eg.__version__)", tmp_path).strip()
    printed = under(
        """
        import importlib.metadata, torch
        assert torch.__version__ >= "2.0" and torch.__version__ >= (2, 1)
        assert torch.__version__ == torch.version.__version__ == importlib.metadata.version("torch")
        print(torch.__version__)
        """,
        tmp_path,
    )
    assert printed.strip() == f"2.13.0+eagergrad.{before}"


def test_a_missing_module_is_named_as_eagergrads(tmp_path: Path) -> None:
    under(
        """
        try:
            import torch.nn.no_such
        except ModuleNotFoundError as error:
            assert error.name == "torch.nn.no_such" and "eagergrad.nn.no_such" in str(error)
        else:
            raise AssertionError
        """,
        tmp_path,
    )


def test_what_a_module_of_eagergrad_lacks_is_named_by_itself(tmp_path: Path) -> None:
    under(
        """
        sys.modules["numpy.polynomial"] = None  # as if it were not there
        import types, importlib
        eg.__path__.append(".")
        open("needs.py", "w").write("import numpy.polynomial")
        try:
            import torch.needs
        except ModuleNotFoundError as error:
            assert error.name == "numpy.polynomial"
        else:
            raise AssertionError
        """,
        tmp_path,
    )


def test_types_that_are_absent_are_names_alone(tmp_path: Path) -> None:
    under(
        """
        import torch
        assert isinstance(torch.complex64, torch.dtype) and torch.complex64.is_complex
        assert torch.cfloat is torch.complex64 and not torch.uint16.is_floating_point
        assert torch.ones(1).dtype not in (torch.complex64, torch.uint16)
        for use in (lambda: torch.ones(2, dtype=torch.complex64), lambda: torch.ones(2).to(torch.uint16)):
            try:
                use()
            except TypeError as error:
                assert "must be dtype, not AbsentDtype" in str(error)
            else:
                raise AssertionError
        """,
        tmp_path,
    )


def test_pytorch_that_is_imported_already_is_left_alone(tmp_path: Path) -> None:
    run_code(
        """
import sys, types
real = sys.modules["torch"] = types.ModuleType("torch")
import eagergrad as eg
from eagergrad import as_torch
version = eg.__version__
try:
    as_torch.install()
except RuntimeError as error:
    assert "PyTorch is imported already" in str(error)
else:
    raise AssertionError
assert sys.modules["torch"] is real and eg.__version__ == version and not hasattr(eg, "complex64")
assert not as_torch.is_installed()
""",
        tmp_path,
    )


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    under(
        """
        finders = list(sys.meta_path)
        as_torch.install()
        assert sys.meta_path == finders and as_torch.is_installed()
        """,
        tmp_path,
    )


def test_a_script_runs_as_python_would_run_it(tmp_path: Path) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "beside.py").write_text("import torch\nN = 3\n")
    (folder / "train.py").write_text(
        "import sys, pickle, torch\n"
        "from beside import N\n"
        "class Mine: pass\n"
        "assert type(pickle.loads(pickle.dumps(Mine()))) is Mine\n"
        "if __name__ == '__main__':\n"
        "    print(sys.argv, torch.ones(N).sum().item())\n"
    )
    command = ["-m", "eagergrad.as_torch", "programs/train.py", "--epochs", "2"]
    assert run(command, tmp_path).strip() == "['programs/train.py', '--epochs', '2'] 3.0"


def test_a_module_runs_as_python_would_run_it(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("SIZE = 2\n")
    (package / "__main__.py").write_text(
        "import sys, torch\nfrom .part import SIZE\nprint(sys.argv[1:], torch.eye(SIZE).sum().item())\n"
    )
    assert (
        run(["-m", "eagergrad.as_torch", "-m", "package", "-v"], tmp_path).strip() == "['-v'] 2.0"
    )


def test_nothing_to_run_is_told_how(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"usage: python -m eagergrad\.as_torch"):
        run(["-m", "eagergrad.as_torch"], tmp_path)


def test_importing_eagergrad_imports_none_of_it(tmp_path: Path) -> None:
    run_code(
        "import eagergrad, sys; assert not {'eagergrad.as_torch', 'torch', 'runpy'} & set(sys.modules)",
        tmp_path,
    )


@pytest.mark.parametrize("other", ["2.13", "2.13.0", (2, 13), (2, 13, 0, 0)])
def test_the_same_release_is_neither_before_nor_after(other: object) -> None:
    version = TorchVersion("2.13.0+eagergrad.0.1.0")
    assert version <= other and version >= other  # type: ignore[operator]
    assert not version < other and not version > other  # type: ignore[operator]


def test_releases_are_ordered_by_numbers() -> None:
    version = TorchVersion("2.13.0+eagergrad.0.1.0")
    assert version > "2.4" and version > "2" and version > (2, 9) and version < "2.13.1a0"
    assert version < (3,) and version > "1.13.1+cpu"


def test_names_inside_the_compiler_answer_that_nothing_is_compiled(tmp_path: Path) -> None:
    under(
        """
        import torch
        from torch._dynamo.utils import is_compile_supported
        from torch._subclasses.fake_tensor import is_fake, FakeTensor
        from torch.fx.experimental.proxy_tensor import get_proxy_mode
        x = torch.ones(1)
        assert not is_compile_supported("cpu") and not is_fake(x) and get_proxy_mode() is None
        assert isinstance(torch.compile(torch.nn.ReLU()), torch._dynamo.eval_frame.OptimizedModule)

        @torch._dynamo.config.patch("verbose", True)
        def f(x):
            torch._dynamo.graph_break()
            return x, torch._dynamo.config.verbose

        assert torch._dynamo.disable(f)(x) == (x, True)
        with torch._dynamo.config.patch({"a": 1}, b=2):
            torch._dynamo.config.c = 3
            assert (torch._dynamo.config.a, torch._dynamo.config.b) == (1, 2)
        assert not hasattr(torch._dynamo.config, "a") and not hasattr(torch._dynamo.config, "c")
        import torch._inductor.config as config
        config.coordinate_descent_tuning = True
        with config.patch(fallback_random=True):
            assert config.fallback_random and config.coordinate_descent_tuning
        assert not hasattr(config, "fallback_random") and config.coordinate_descent_tuning
        """,
        tmp_path,
    )


def test_a_progress_bar_is_tqdm_or_nothing_to_be_seen(tmp_path: Path) -> None:
    run_code(
        """
import sys
sys.modules["tqdm"] = sys.modules["tqdm.auto"] = None
from eagergrad.utils.model_zoo import tqdm
from eagergrad import hub
with tqdm(range(3), total=3) as bar:
    assert list(bar) == [0, 1, 2] and hub.tqdm is tqdm
    bar.update()
tqdm(total=3).close()
""",
        tmp_path,
    )


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_a_program_go_on_like_that(method: str, tmp_path: Path) -> None:
    (tmp_path / "many.py").write_text(
        textwrap.dedent(
            f"""
            import torch, torch.multiprocessing as mp

            def double(x):
                assert torch.__name__ == "eagergrad" and torch.nn.Module.__module__.startswith("eagergrad")
                return (2 * x).item()

            if __name__ == "__main__":
                with mp.get_context("{method}").Pool(1) as pool:
                    print(pool.map(double, [torch.ones(()), torch.tensor(2.0)]))
            """
        )
    )
    printed = run(["-m", "eagergrad.as_torch", "many.py"], tmp_path)
    assert printed.strip() == "[2.0, 4.0]"
