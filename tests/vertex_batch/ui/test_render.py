"""How a page is made from its template."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from vertex_batch.ui.problems import PageProblem, Problems
from vertex_batch.ui.render import page, with_code


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


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("paid 21.71279182875 USD.", 'paid <span title="21.71279182875 USD">21.71</span> USD.'),
        ("about 0.0217127 USD", 'about <span title="0.0217127 USD">0.0217</span> USD'),
        ("1,234.567891 USD", '<span title="1,234.567891 USD">1,235</span> USD'),
        ("at 0.00000125 USD each, 1.5 USD in all", "at 0.00000125 USD each, 1.5 USD in all"),
        ("clear `submit` <b>", "clear <code>submit</code> &lt;b&gt;"),
    ],
)
def test_texts_show_code_as_code_and_amounts_as_the_pages_do(text, html):
    assert str(with_code(text)) == html
