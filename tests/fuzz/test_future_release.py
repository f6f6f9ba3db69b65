"""Invariant: whatever value HOLDFOR and HOLDUNTIL have, it is refused as a parameter or has one meaning: a time that
can be compared with the limit, shown, and told in a notification; and what is shown reads as the same second."""

import re

from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.mail.future_release import date_time, parse_date_time, release_at, request
from fastsmtp.mail.reply import BAD_PARAMETER_VALUE
from fastsmtp.smtp.extensions.future_release import EXTENSION
from tests.tools.fuzzing import fuzzed

NOW = 1_795_527_000.0
date_times = st.from_regex(
    re.compile(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
    ),
    fullmatch=True,
)
values = st.one_of(st.none(), st.text(max_size=40), date_times, st.integers().map(str))


@fuzzed
@given(st.sampled_from(sorted(EXTENSION.mail)), values)
def test_a_value_is_refused_or_means_one_time(keyword: str, value: str | None) -> None:
    read = EXTENSION.mail[keyword](value)
    if not isinstance(read, str):
        assert read is BAD_PARAMETER_VALUE
        return
    assert read.isascii()
    params = {keyword: read}
    release = release_at(params, NOW)
    assert release is not None
    assert request(params).partition(";")[2] == read
    assert keyword != "HOLDFOR" or NOW < release < NOW + 1e9
    if release >= 0:
        assert parse_date_time(date_time(release)) == int(release)
