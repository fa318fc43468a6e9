"""Names of devices."""

import time

import pytest

from app.core.device import UNKNOWN, Device, device_in_words, is_known

MOZILLA = "Mozilla/5.0"
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
WINDOWS, MAC = "(Windows NT 10.0; Win64; x64)", "(Macintosh; Intel Mac OS X 10_15_7)"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (f"{MOZILLA} {WINDOWS} {CHROME}", "Chrome on Windows"),
        (f"{MOZILLA} {WINDOWS} {CHROME} Edg/140.0.0.0", "Edge on Windows"),
        (f"{MOZILLA} (X11; Linux x86_64) {CHROME} OPR/120.0.0.0", "Opera on Linux"),
        (f"{MOZILLA} (X11; CrOS x86_64 14541.0.0) {CHROME}", "Chrome on ChromeOS"),
        (f"{MOZILLA} (Linux; Android 10; K) {CHROME}", "Chrome on Android"),
        (
            (
                f"{MOZILLA} (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
                "SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36"
            ),
            "Samsung Internet on Android",
        ),
        (f"{MOZILLA} {MAC} {WEBKIT} Version/19.0 Safari/605.1.15", "Safari on Mac"),
        (
            (
                f"{MOZILLA} (iPhone; CPU iPhone OS 18_6 like Mac OS X) {WEBKIT} Version/19.0 "
                "Mobile/15E148 Safari/604.1"
            ),
            "Safari on iPhone",
        ),
        (
            (
                f"{MOZILLA} (iPad; CPU OS 18_6 like Mac OS X) {WEBKIT} CriOS/140.0.0.0 "
                "Mobile/15E148 Safari/604.1"
            ),
            "Chrome on iPad",
        ),
        (
            f"{MOZILLA} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox on Linux",
        ),
        ("curl/8.14.1", "curl"),
        ("python-httpx/0.28.1", "python-httpx"),
        ("okhttp/4.12.0", "okhttp"),
        (f"{MOZILLA} (PlayStation 5)", UNKNOWN),
        ("<script>alert(1)</script>", UNKNOWN),
        ("", UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_a_device_is_named_by_browser_and_system(user_agent, name):
    assert device_in_words(user_agent) == name


def test_any_text_is_named_at_once():
    begun = time.thread_time()
    for text in ("x" * 255, "Mozilla/5.0 (" * 20, "\x00" * 255):
        for _ in range(100):
            assert len(device_in_words(text)) <= 40

    assert time.thread_time() - begun < 0.5


@pytest.mark.parametrize(
    ("address", "earlier", "known"),
    [
        ("203.0.113.7", "203.0.200.1", True),
        ("203.0.113.7", "203.1.113.7", False),
        ("2001:db8:1::1", "2001:db8:ffff::2", True),
        ("2001:db8::1", "2001:db9::1", False),
        ("2001:db8::1", "203.0.113.7", False),
        (None, None, True),
        (None, "203.0.113.7", False),
        ("a socket", "a socket", True),
    ],
)
def test_a_device_is_known_by_its_name_and_its_network(address, earlier, known):
    before = [Device("okhttp/1", address), Device("curl/7", earlier)]

    assert is_known(Device("curl/8", address), before) is known
    assert not is_known(Device("wget/1", address), before)
