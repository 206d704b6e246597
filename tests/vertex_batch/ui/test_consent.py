"""Who may send a form that changes something."""

from __future__ import annotations

import pytest

from vertex_batch.ui.consent import is_from_here, is_signed, sign

HERE = ("http://airflow:8080/", "https://airflow.example.com/af")


def test_a_token_is_valid_for_its_person_and_action_until_it_is_too_old():
    token = sign("anna", "cancel/p/l/1")
    assert is_signed(token, "anna", "cancel/p/l/1")
    assert not is_signed(token, "anna", "cancel/p/l/1", max_age_seconds=-1)
    assert not is_signed(token, "ben", "cancel/p/l/1")
    assert not is_signed(token, "anna", "cancel/p/l/2")
    assert not is_signed(token[:-1], "anna", "cancel/p/l/1")
    assert not is_signed("", "anna", "cancel/p/l/1")
    assert not is_signed("ä", "anna", "cancel/p/l/1")


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site", "origin": "http://airflow:8080"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "http://airflow:8080"}, True),
        ({"origin": "https://airflow.example.com"}, True),
        ({"origin": "https://airflow.example.com.evil.example"}, False),
        ({"origin": "null"}, False),
        ({}, False),
    ],
)
def test_a_form_comes_from_our_site_or_it_is_none(headers, ours):
    assert is_from_here(headers, HERE) is ours
