"""Format amounts: for people with cents and thousands separators, for programs as plain decimal strings.

Never with an exponent. Only `usd` adds "USD".
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from vertex_batch.pricing.exact import times

_CENT = Decimal("0.01")
_CENTS = 2
_DIGITS = 4
_WHOLE_FROM = Decimal("99.995")


def exact(amount: Decimal) -> str:
    """Format an amount exactly, with at least its cents.

    >>> exact(Decimal("1234.500000")), exact(Decimal("-0.05")), exact(Decimal("1.5e-7"))
    ('1,234.50', '-0.05', '0.00000015')
    """
    whole, _, decimals = f"{abs(amount):f}".partition(".")
    sign = "-" if amount < 0 else ""
    return f"{sign}{int(whole):,}.{decimals.rstrip('0').ljust(_CENTS, '0')}"


def rounded(amount: Decimal) -> str:
    """Round an amount to cents, or a small one to four significant digits.

    >>> rounded(Decimal("1234.567")), rounded(Decimal("-0.012345"))
    ('1,234.57', '-0.01235')
    """
    if abs(amount) >= 1 or not amount:
        return exact(amount.quantize(_CENT, ROUND_HALF_UP))
    step = Decimal(1).scaleb(amount.adjusted() - _DIGITS + 1)
    return exact(amount.quantize(min(step, _CENT), ROUND_HALF_UP))


def about(amount: Decimal) -> str:
    """Round an estimate to at most four significant digits, and to cents at most.

    >>> about(Decimal("0.12713600625")), about(Decimal("1.27136")), about(Decimal("12345.67"))
    ('0.1271', '1.27', '12,350')
    """
    if abs(amount) < _WHOLE_FROM:
        return rounded(amount)
    step = Decimal(1).scaleb(max(amount.adjusted() - _DIGITS + 1, 0))
    return f"{int(amount.quantize(step, ROUND_HALF_UP)):,}"


def usd(amount: Decimal) -> str:
    """Format an amount exactly, with its currency: ``1,234.50 USD``."""
    return f"{exact(amount)} USD"


def per_million(price: Decimal) -> str:
    """Format a price per unit as price lists do: for a million units, exactly.

    >>> per_million(Decimal("1.5e-7"))
    '0.15'
    """
    return exact(times(1_000_000, price))


def in_full(amount: Decimal) -> str:
    """Format an amount for a program: all its digits, without trailing zeros.

    >>> in_full(Decimal("1234.500000")), in_full(Decimal("1.5e-7"))
    ('1234.5', '0.00000015')
    """
    text = f"{amount:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text
