"""What a request carries, no more of it than is wanted."""

from starlette.exceptions import HTTPException
from starlette.requests import Request


async def read_body(request: Request, most: int) -> bytes:
    """What was sent; HTTPException where it is more than `most` bytes."""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > most:
            raise HTTPException(413, f"too large: more than {most >> 20} MiB")
    return b"".join(parts)
