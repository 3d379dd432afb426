"""The steps of a login, one redirect after the other."""

from httpx2 import AsyncClient, Response

AUTH = "/api/v1/auth"


async def start_login(browser: AsyncClient, return_to: str = "/") -> str:
    """Start a login; return the URL of the provider."""
    response = await browser.get(f"{AUTH}/login/acme", params={"return_to": return_to})
    assert response.status_code == 302, response.text
    return response.headers["location"]


async def log_in_at_provider(browser: AsyncClient, url: str) -> str:
    """Log in at the provider; return the callback URL."""
    response = await browser.get(url)
    assert response.status_code == 302, response.text
    return response.headers["location"]


async def sign_in(browser: AsyncClient, return_to: str = "/") -> Response:
    """Complete a login; return the response to the callback."""
    return await browser.get(await log_in_at_provider(browser, await start_login(browser, return_to)))


async def csrf_headers(browser: AsyncClient) -> dict[str, str]:
    """The CSRF header of the browser's session."""
    return {"X-CSRF-Token": (await browser.get(f"{AUTH}/session")).json()["csrf_token"]}


def redirected_error(response: Response) -> str:
    """The error code in the redirect to the application."""
    assert response.status_code == 302, response.text
    assert "session" not in response.headers.get("set-cookie", "")
    home, _, code = response.headers["location"].partition("/?error=")
    assert home == "http://127.0.0.1:8000"
    return code
