"""Every case of ``cases`` in every language, and the outcomes compared. A new case is a new file there."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("contract", "contract_cases", "cases")

from contract import AGENTS  # noqa: E402
from contract_cases import CASES, Case  # noqa: E402

EACH = [
    pytest.param(case, language, id=f"{case.name}-{language}")
    for case in CASES.values()
    for language in case.languages()
]


@pytest.mark.parametrize(("case", "language"), EACH)
def test_case(case: Case, language: str) -> None:
    case.outcome(language)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_languages_agree(case: Case) -> None:
    """Answers, errors and reports are the same, and so are requests, byte for byte."""
    first, *others = case.languages()
    expected = case.outcome(first)
    assert expected.steps
    for language in others:
        found = case.outcome(language)
        assert len(found.steps) == len(expected.steps)
        for mine, theirs in zip(found.steps, expected.steps, strict=True):
            assert mine == theirs, (language, first)
        if not case.requests_differ:
            assert found.requests == expected.requests, (language, first)


def test_what_a_language_has_not_is_explained() -> None:
    for case in CASES.values():
        assert case.without.keys() <= AGENTS.keys() and all(case.without.values()), case.name
        assert len(case.languages()) > 1, case.name
