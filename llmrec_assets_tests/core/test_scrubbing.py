"""What names a person in a text goes; prices, years, codes and articles stay."""

import re
import time

import pytest

from llmrec_assets.core.scrubbing import SUSPECT, regions_of, scrub, scrub_all

REGIONS = ("CN", "US")


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("write to zhang.san+shop@mail.example.com.", "write to [e-mail]."),
        ("邮箱zhang_san@example.cn，谢谢", "邮箱[e-mail]，谢谢"),
        ("全角地址 lisi＠example.com 也算", "全角地址 [e-mail] 也算"),
        ("手机号13800138000，请联系", "手机号[phone]，请联系"),
        ("加微信 138 0013 8000 或 139-1234-5678", "加微信 [phone] 或 [phone]"),
        ("电话010-62552255转8", "电话[phone]转8"),
        ("全角１３８００１３８０００", "全角[phone]"),
        ("+86 138-0013-8000 / 0086 13800138000", "[phone] / [phone]"),
        ("call (415) 555-2671 or 415-555-2671", "call [phone] or [phone]"),
        ("or +44 20 7946 0958, anytime", "or [phone], anytime"),
        ("my card 4111 1111 1111 1111 was charged", "my card [card] was charged"),
        ("Amex 378282246310005, MC 5555-5555-5555-4444", "Amex [card], MC [card]"),
        ("银联卡6212345678901232，余额不足", "银联卡[card]，余额不足"),
        ("a@b.co and 13800138000 and 4111111111111111", "[e-mail] and [phone] and [card]"),
    ],
)
def test_what_names_a_person_goes(given, left):
    assert re.search(SUSPECT, given)
    assert scrub(given, REGIONS) == left


@pytest.mark.parametrize(
    "text",
    [
        "only 1299.99, down from 1,499,000.00",
        "bought in 2023, again on 2024-01-15 10:30:00",
        "ISBN 978-3-16-148410-0 and ISBN 0-306-40615-2",
        "EAN 4006381333931, SKU 12345678, part 0123456789",
        "order 20240115123456 and order 4155552671",
        "订单号20240115000123，型号 SM-S9180，价格￥13800",
        "4111 1111 1111 1112 fails the check",
        "1234567890123456 is no issuer's",
        "rated 5/5, size 10-12, 3-4 days, 1920x1080",
        "follow me @shop, 5 @ 3 each",
        "好评👍 100% 满意",
        "",
    ],
)
def test_what_names_nobody_stays(text):
    assert scrub(text, REGIONS) == text


def test_national_numbers_are_those_of_the_regions():
    assert scrub("020 7946 0958", ("GB",)) == "[phone]"
    assert scrub("07400 123456", ("GB",)) == "[phone]"
    assert scrub("07400 123456", REGIONS) == "07400 123456"
    assert scrub("+1 415-555-2671", ()) == "[phone]"
    assert scrub("13800138000", ("GB",)) == "13800138000"
    assert scrub_all(["a@b.co", None], REGIONS) == ["[e-mail]", None]
    assert regions_of("cn, gb") == ("CN", "GB")
    with pytest.raises(ValueError, match="'CHINA' is no region"):
        regions_of("CHINA")


@pytest.mark.parametrize("text", ["a" * 200_000 + "@", "1 " * 20_000, "1-" * 20_000, "@." * 50_000])
def test_long_texts_take_linear_time(text):
    started = time.process_time()
    scrub(text, REGIONS)
    assert time.process_time() - started < 5
