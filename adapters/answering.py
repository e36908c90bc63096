"""Ask a server on this machine, or elsewhere, whether it answers."""

import urllib.request

HOST = "127.0.0.1"  # every server of the project listens here, and only here
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback never goes through a proxy


def api_answers(url: str, timeout_s: float = 1.0) -> bool:
    """Tell whether a Prefect API answers.

    Args:
        url: the API's URL, which ends in /api.
        timeout_s: seconds to wait for the answer.
    """
    return answers(f"{url.rstrip('/')}/health", timeout_s)


def answers(url: str, timeout_s: float) -> bool:
    """Tell whether a URL answers with status 200.

    Args:
        url: what to ask for.
        timeout_s: seconds to wait for the answer.
    """
    try:
        with OPENER.open(url, timeout=timeout_s) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False
