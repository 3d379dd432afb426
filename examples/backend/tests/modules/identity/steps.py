"""The steps of signing in, one redirect after the other."""

from httpx2 import AsyncClient, Response

AUTH = "/api/v1/auth"


async def leave(browser: AsyncClient, return_to: str = "/") -> str:
    """Begin, and tell where the browser is sent: to the provider."""
    answer = await browser.get(f"{AUTH}/login/acme", params={"return_to": return_to})
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


async def sign_in_there(browser: AsyncClient, url: str) -> str:
    """Sign in at the provider, and tell where it sends the browser: back to us."""
    answer = await browser.get(url)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


async def sign_in(browser: AsyncClient, return_to: str = "/") -> Response:
    """Go all the way, and return the last answer."""
    return await browser.get(await sign_in_there(browser, await leave(browser, return_to)))


async def csrf(browser: AsyncClient) -> dict[str, str]:
    """What the browser has to send when it changes something."""
    return {"X-CSRF-Token": (await browser.get(f"{AUTH}/session")).json()["csrf_token"]}


def error(answer: Response) -> str:
    """Which error a browser takes home."""
    assert answer.status_code == 302, answer.text
    assert "session" not in answer.headers.get("set-cookie", "")
    home, _, code = answer.headers["location"].partition("/?error=")
    assert home == "http://127.0.0.1:8000"
    return code
