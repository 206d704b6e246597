"""How a page is made from its template."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from vertex_batch.ui.problems import PageProblem, Problems
from vertex_batch.ui.render import page


class Watched(Problems):
    """Values of a page that a weak reference can follow."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only the counts of references free something."""
    gc.disable()
    yield
    gc.enable()


def test_what_a_page_was_made_of_is_freed_with_it(no_collector):
    page(SimpleNamespace(query_params={}), "nothing.html")  # compiles the templates
    problems = Watched([PageProblem("one", "/")])
    followed = weakref.ref(problems)
    answer = page(SimpleNamespace(query_params={}), "nothing.html", problems=problems)
    assert b"one" in answer.body
    del problems
    assert followed() is None, "a cycle keeps the values of the page until a full garbage collection"
