"""What a standby serves: health checks, and 503 for everything else."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


def standby_app(active: str) -> Starlette:
    """Return the app of a gateway that waits for another one, which has this address."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def other(_: Request) -> Response:
        return PlainTextResponse(f"standby: the active gateway is {active}\n", status_code=503)

    methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
    return Starlette(routes=[Route("/healthz", healthz), Route("/{path:path}", other, methods=methods)])
