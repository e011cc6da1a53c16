"""The tape behind a tensor as a list, a text and a drawing."""

from pathlib import Path
from xml.etree import ElementTree

import eagergrad as eg
from eagergrad import nn
from eagergrad.autograd.graph import tape


def test_the_tape_is_a_list_a_text_and_a_drawing(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = eg.ones(5, 3)
    view = tape(net(x).sum(), net)
    assert [e.name for e in view if not e.site] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert next(reversed(view)).name == "SumBackward0"
    assert all(source < e.number for e in view for source in e.sources)
    tanh = next(e for e in view if e.name == "TanhBackward0")
    assert tanh.shapes == ((5, 4),) and tanh.saved == 5 * 4 * 4
    assert view[tanh.sources[0]].saved == x.numel() * 4  # weights are kept anyway
    assert tanh.site.split(":")[0].endswith("test_tape_view.py")
    lines = str(view).splitlines()
    assert len(lines) == len(view) + 1 and lines[-1] == f"{len(view)} entries keep 140 B"
    view.save(tmp_path / "tape.svg")
    drawn = ElementTree.parse(tmp_path / "tape.svg").getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert len(drawn.findall(f".//{name}text")) == len(view)
    arcs = drawn.findall(f"./{name}g/{name}path")
    assert len(arcs) == sum(len(e.sources) for e in view)


def test_the_tape_of_shared_freed_and_missing_graphs() -> None:
    x = eg.ones(2, requires_grad=True)
    y = x * 2
    view = tape({"a": [y + y, y * y], "b": eg.ones(1)}, {"x": x})
    assert [e.name for e in view].count("MulBackward0") == 2 and len(view) == 4
    (y * y).sum().backward()
    assert sum(e.saved for e in tape(y)) == 0
    assert len(tape(eg.ones(2))) == 0 and str(tape([])) == "empty"
    for _ in range(3000):
        x = x + 1
    assert len(tape(x)) == 3001
