"""How long answers and thoughts are expected to be: a table."""

from __future__ import annotations

from fractions import Fraction

import pytest

from vertex_batch.budgets.answer_lengths import (
    NO_LIMIT,
    USUAL_ANSWER,
    AnswerLimit,
    Limits,
    answer,
    cut_mean,
    uncut_mean,
    usual_thoughts,
    within,
)
from vertex_batch.budgets.ranges import NOTHING


@pytest.mark.parametrize(
    ("config", "limits"),
    [
        ({}, Limits()),
        ({"maxOutputTokens": 5, "candidateCount": 3}, Limits(5, 3)),
        ({"max_output_tokens": 5, "thinking_config": {"thinking_budget": 0}}, Limits(5, budget=0)),
        ({"thinkingConfig": {"thinkingBudget": -1}}, Limits(budget=-1)),
        ({"thinkingConfig": {"thinkingLevel": "THINKING_LEVEL_LOW"}}, Limits(level="low")),
        ({"thinkingConfig": {"thinkingBudget": [], "thinkingLevel": 3}}, Limits()),
        ({"thinkingConfig": {"thinkingBudget": False}}, Limits()),
        ({"maxOutputTokens": True, "candidateCount": 99, "thinkingConfig": []}, Limits()),
        ({"maxOutputTokens": 1e400}, Limits()),
        ({"maxOutputTokens": 99999999999999999999999}, Limits()),
    ],
)
def test_limits_are_read_and_what_is_no_limit_is_none(config, limits):
    assert Limits.from_config(config) == limits


@pytest.mark.parametrize(
    ("model", "limits", "thoughts"),
    [
        ("gemini-2.0-flash", Limits(), 0),
        ("gemini-2.0-flash", Limits(budget=5000), 0),
        ("gemini-2.5-flash", Limits(), 1024),
        ("gemini-2.5-flash", Limits(budget=0), 0),
        ("gemini-2.5-flash", Limits(budget=-1), 1024),
        ("gemini-2.5-flash", Limits(budget=5000), 2500),
        ("gemini-2.5-flash-lite", Limits(), 0),
        ("gemini-2.5-flash-lite", Limits(budget=1000), 500),
        ("gemini-3.5-flash", Limits(), 1024),
        ("gemini-3.1-flash-lite", Limits(), 64),
        ("gemini-3.1-pro-preview", Limits(), 2048),
        ("gemini-3.1-pro-preview", Limits(level="low"), 512),
        ("gemini-4-argon", Limits(level="unheard-of"), 2048),
        ("claude-sonnet-4-5", Limits(budget=1000), 0),
    ],
)
def test_thinking_models_think_by_default_or_as_the_row_says(model, limits, thoughts):
    assert usual_thoughts(limits, model).expected == thoughts


@pytest.mark.parametrize(
    ("model", "limits", "low", "expected", "high"),
    [
        ("gemini-2.0-flash", Limits(), *USUAL_ANSWER),
        ("gemini-2.0-flash", Limits(100), 4, 50, 100),
        ("gemini-2.0-flash", Limits(1), 1, 1, 1),
        ("gemini-2.0-flash", Limits(65_536), *USUAL_ANSWER),
        ("gemini-2.0-flash", Limits(100, candidates=3), 12, 150, 300),
        ("gemini-2.5-flash", Limits(), 4, 2048, 8192),
        ("gemini-2.5-flash", Limits(1000), 4, 500, 1000),
        ("gemini-2.5-flash", Limits(1000, budget=0), 4, 500, 1000),
        ("gemini-2.5-flash", Limits(8000, budget=0), *USUAL_ANSWER),
        ("gemini-embedding-001", Limits(), 0, 0, 0),
    ],
)
def test_thoughts_and_answer_together_are_within_the_limit(model, limits, low, expected, high):
    found = answer(limits, model)
    whole = found.text.plus(found.thoughts)
    assert whole == pytest.approx((low, expected, high))


def test_a_model_that_draws_is_expected_to_draw():
    assert answer(Limits(), "gemini-2.5-flash-image").image.expected == 1290
    assert answer(Limits(), "gemini-2.5-flash").image == NOTHING


@pytest.mark.parametrize(
    ("model", "limits", "allowed"),
    [
        ("gemini-2.5-flash", Limits(), NO_LIMIT),
        ("gemini-2.5-flash", Limits(100), AnswerLimit(100)),
        ("gemini-2.5-flash", Limits(100, candidates=3), AnswerLimit(300)),
        ("gemini-2.5-flash", Limits(budget=0), AnswerLimit(None, 0)),
        ("gemini-2.5-flash", Limits(budget=1000, candidates=2), AnswerLimit(None, 2400)),
        ("gemini-2.5-flash", Limits(budget=-1), NO_LIMIT),
        ("gemini-2.0-flash", Limits(budget=1000), AnswerLimit(None, 0)),
        ("gemini-embedding-001", Limits(), AnswerLimit(0, 0)),
    ],
)
def test_a_row_allows_what_it_states_for_each_candidate(model, limits, allowed):
    assert limits.allow(model) == allowed


@pytest.mark.parametrize(
    ("rows", "text", "thoughts"),
    [
        ({}, 80, 40),
        ({NO_LIMIT: 7}, 80, 40),
        ({AnswerLimit(120): 7}, 80, 40),
        ({AnswerLimit(60): 7}, 40, 20),
        ({AnswerLimit(None, 10): 7}, 80, 10),
        ({AnswerLimit(45, 10): 7}, 40, 5),
        ({AnswerLimit(60): 1, NO_LIMIT: 3}, 70, 35),
        ({AnswerLimit(0, 0): 2}, 0, 0),
    ],
)
def test_answers_are_cut_to_what_their_rows_allow(rows, text, thoughts):
    assert within(Fraction(80), Fraction(40), rows) == (text, thoughts)


@pytest.mark.parametrize(("mean", "most"), [(503, 256), (100, 1000), (4000, 64), (3, 1)])
def test_the_mean_without_a_limit_is_found_again(mean, most):
    assert uncut_mean(cut_mean(Fraction(mean), most), most) == pytest.approx(mean, abs=1)


def test_answers_that_fill_their_limit_are_not_taken_to_be_endless():
    assert uncut_mean(Fraction(100), 100) == 10_000
