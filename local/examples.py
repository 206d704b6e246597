"""Example input for the job specs: made up, the same for the same spec and day, in each model's own shape."""

from __future__ import annotations

import json
import random
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, StrictUndefined

from local.stack.gcs import ObjectStore
from vertex_batch.specs import Spec, template_dates

ROWS = 120
EXAMPLES = {
    "nightly_embeddings": ROWS,
    # It shows what a real size looks like: in the bill, on the pages, and in how long it takes.
    "nightly_summaries": 20_000,
    "nightly_text_embeddings": ROWS,
}
"""The specs for which input is made up, and the rows of each. The input of any other spec is its user's."""

_PRODUCTS = ("scale", "kettle", "router", "headset", "lamp", "printer", "bicycle light", "coffee grinder")
_TROUBLES = (
    "shows error E-{n} after it was moved to another room",
    "arrived without its power supply",
    "stops after {n} minutes and starts again by itself",
    "was charged twice on invoice 2026-{n:04}",
    "does not connect since the update to version 4.{n}",
    "makes a noise that order {n}'s photograph does not show",
)
_WISHES = (
    "They ask whether a service visit is needed.",
    "They want their money back.",
    "They would like a spare part and will fit it themselves.",
    "They have written three times and ask for a call today.",
)
_INSTRUCTION = "Summarise the support ticket in two sentences: what the customer wants, and how things stand."


def example_input(model: str, seed: str, rows: int = ROWS) -> bytes:
    """Return the lines of an input file for the model.

    :param seed: the same seed gives the same lines, such as a spec's name and a day.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret, and it has to be repeatable
    make = _text_embedding if model.startswith("text-") else _gemini
    if model.startswith("gemini-embedding"):
        make = _gemini_embedding
    lines = (json.dumps(make(number, _ticket(number, chance))) for number in range(rows))
    return "".join(f"{line}\n" for line in lines).encode()


def put_example_input(store: ObjectStore, spec: Spec, logical_date: datetime, rows: int | None = None) -> int:
    """Put an input where each job of an example looks for it on a night, and make the bucket of its output.

    An object that is there already is kept: it is its user's.

    :param spec: one of `EXAMPLES`.
    :param rows: of each input; those of `EXAMPLES` when not given.
    :returns: how many rows there are now.
    :raises jinja2.TemplateError: a place cannot be rendered outside of Airflow.
    """
    dates = template_dates(SimpleNamespace(logical_date=logical_date), spec.timezone)
    templates = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 - these are not web pages
    count = EXAMPLES[spec.name] if rows is None else rows
    found = 0
    for job in spec.jobs:
        for number, uri in enumerate((*job.inputs, job.output)):
            rendered = templates.from_string(uri).render(dates)
            store.create_bucket(rendered.removeprefix("gs://").split("/")[0])
            if number < len(job.inputs):
                content = example_input(job.model, f"{spec.name} {dates['run_date']} {number}", count)
                if not store.create(rendered, content):
                    content = store.get(rendered)
                found += len(content.splitlines())
    return found


def _ticket(number: int, chance: random.Random) -> str:
    sentences = []
    for _ in range(chance.randint(1, 6)):
        trouble = chance.choice(_TROUBLES).format(n=chance.randint(2, 99))
        sentences.append(f"The customer's {chance.choice(_PRODUCTS)} {trouble}.")
    return " ".join([f"Ticket {number + 1}:", *sentences, chance.choice(_WISHES)])


def _gemini(number: int, text: str) -> dict[str, Any]:
    return {
        "id": f"ticket-{number + 1:04}",
        "request": {
            "systemInstruction": {"parts": [{"text": _INSTRUCTION}]},
            "contents": [{"role": "user", "parts": [{"text": text}]}],
            "generationConfig": {"temperature": 0.2, "maxOutputTokens": 2048},
        },
    }


def _gemini_embedding(number: int, text: str) -> dict[str, Any]:
    return {
        "key": f"article-{number + 1:04}",
        "request": {
            "content": {"parts": [{"text": text}]},
            "embed_content_config": {"output_dimensionality": 768, "task_type": "RETRIEVAL_DOCUMENT"},
        },
    }


def _text_embedding(number: int, text: str) -> dict[str, Any]:
    return {"content": text, "task_type": "RETRIEVAL_DOCUMENT", "title": f"product {number + 1}"}
