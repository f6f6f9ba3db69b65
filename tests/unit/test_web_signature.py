"""Signatures of webhooks, against the example that the Standard Webhooks convention gives."""

import pytest

from fastsmtp.web.signature import key_of, signed


def test_the_example_of_the_convention() -> None:
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}') == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_what_the_key_is() -> None:
    assert key_of("a plain secret of words") == b"a plain secret of words"
    with pytest.raises(ValueError, match="base64"):
        key_of("whsec_???")
