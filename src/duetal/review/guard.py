"""Who may ask: the page itself, from this machine, with the token of its address.

Any page in any browser can send requests to 127.0.0.1. The token, which only the person at the
terminal was shown, is asked for once and then kept as a cookie that no other site's requests carry.
The host's name is checked, because a name of somebody else's can be made to lead here (DNS
rebinding), and the origin, because a form of another site can send here (CSRF).
"""

import hmac
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Headers of every answer.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """An application that answers those alone who may ask."""

    def __init__(self, app: ASGIApp, *, port: int, token: str) -> None:
        self.app, self.token = app, token
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        # Cookies are shared by the ports of a host.
        self.cookie = f"duetal-review-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, with the headers that keep other sites out."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        app = self.refusal(scope) or self.app
        await app(scope, receive, send_guarded)

    def refusal(self, scope: Scope) -> Response | None:
        """What is answered instead of what was asked for; None to who may ask."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self.hosts:
            return PlainTextResponse("this host is not of this review", 421)
        own = origin is not None and origin.removeprefix("http://") == host
        if not own and (origin is not None or scope["method"] not in ("GET", "HEAD")):
            return PlainTextResponse("from another site", 403)
        given = QueryParams(scope["query_string"].decode("latin-1")).get("token")
        if scope["path"] == "/" and given is not None and self._is_token(given):
            response = RedirectResponse("/", 303)
            response.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
            return response
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            cookie = None
        if cookie is None or not self._is_token(cookie.value):
            cause = "open the address that duetal review printed: it holds the token of the review"
            return PlainTextResponse(cause, 403)
        return None

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self.token.encode())
