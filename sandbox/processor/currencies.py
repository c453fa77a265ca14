"""Currencies that can be charged, in minor units, with Stripe's smallest and largest amounts."""

from decimal import Decimal

from sandbox.processor.errors import Refusal, missing
from sandbox.processor.forms import Params


def _codes(words: str) -> list[str]:
    return words.split()


_ZERO_DECIMALS = frozenset(_codes("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"))
_THREE_DECIMALS = frozenset(_codes("bhd jod kwd omr tnd"))
_TWO_DECIMALS = frozenset(
    _codes(
        """usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf
    cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk
    jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok
    npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try
    ttd twd tzs uah ugx uyu uzs wst xcd yer zar zmw"""
    )
)
_SMALLEST = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300,
    "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip
_LARGEST = 99_999_999


def decimals(currency: str) -> int:
    """Digits after the point of a known currency (lower-case ISO 4217)."""
    if currency in _ZERO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


def written(amount: int, currency: str) -> str:
    """An amount of minor units as people read it: `12.00 EUR`."""
    places = decimals(currency)
    return f"{Decimal(amount).scaleb(-places):.{places}f} {currency.upper()}"


def read_money(params: Params) -> tuple[int, str]:
    """`amount` and `currency`, checked as Stripe does; Refusal otherwise."""
    amount = params.integer("amount")
    if amount is None:
        raise missing("amount")
    return check_amount(amount, check_currency(params.required("currency"))), params.required("currency").lower()


def check_currency(currency: str) -> str:
    """The lower-case code of a currency that can be charged; Refusal otherwise."""
    code = currency.lower()
    if code not in _TWO_DECIMALS | _ZERO_DECIMALS | _THREE_DECIMALS:
        raise Refusal(f"Invalid currency: {code[:10]}", param="currency")
    return code


def check_amount(amount: int, currency: str) -> int:
    """The amount itself when it can be charged; Refusal otherwise."""
    if amount < 1:
        message = "Invalid positive integer: the amount must be at least 1"
        raise Refusal(message, code="parameter_invalid_integer", param="amount")
    smallest = _SMALLEST.get(currency, 1)
    if amount < smallest:
        message = f"Amount must be at least {written(smallest, currency)}"
        raise Refusal(message, code="amount_too_small", param="amount")
    if amount > _LARGEST:
        message = f"Amount must be no more than {written(_LARGEST, currency)}"
        raise Refusal(message, code="amount_too_large", param="amount")
    if currency in _THREE_DECIMALS and amount % 10:
        raise Refusal(f"The last digit of an amount in {currency} must be 0", param="amount")
    return amount
