"""What operators have to do, read from real model files."""

import pytest

from models.bundle import Bundle
from models.graph import Graph
from models.operators import works


@pytest.mark.parametrize("name", ["mnist", "litter"])
def test_head_and_tail_share_the_work(name: str) -> None:
    """At every cut point the operators of head and tail are those of the whole, and so are the multiply-adds."""
    bundle = Bundle.load(name)
    graph = Graph.read(bundle.model_path, outputs=bundle.finals)
    whole = works(graph)
    for point in graph.cut_points():
        head, tail = works(graph, None, [point.name]), works(graph, [point.name], None)
        assert head + tail == whole
        assert sum(work.madds for work in head) == point.madds_head
        assert sum(work.madds for work in tail) == point.madds_tail


def test_work_is_counted_in_the_file() -> None:
    """The first convolution of mnist: 24x24 places, 10 kernels of 5x5; it reads picture and weights and writes."""
    bundle = Bundle.load("mnist")
    first = works(Graph.read(bundle.model_path))[0]
    assert first.kind == "CONV_2D int8"
    assert first.madds == 24 * 24 * 10 * 5 * 5
    assert first.bytes == 28 * 28 + 10 * 5 * 5 + 4 * 10 + 24 * 24 * 10


def test_what_only_shapes_is_left_out() -> None:
    """Flattening computes shapes and moves nothing."""
    bundle = Bundle.load("mnist")
    kinds = {work.kind.split()[0] for work in works(Graph.read(bundle.model_path))}
    assert kinds == {"CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED", "SOFTMAX"}
