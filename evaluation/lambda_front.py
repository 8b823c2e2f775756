"""A function URL on this machine: HTTP in, events of payload format 2.0 to the handler, its response out.

The program of a process of its own: what it measures as a first request is a cold start, but for what Lambda itself
does before a container runs. Requests come one after the other, as in one instance of a function.
"""

from __future__ import annotations

import base64
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

LONGEST_BODY_BYTES: Final = 6 * 1024 * 1024 * 3 // 4
"""What Lambda brings, before it becomes base64. Source: AWS Lambda quotas."""


class FunctionUrl(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        """Answer a request with what the handler makes of it."""
        from cloud_worker.aws_lambda import lambda_handler

        length = int(self.headers.get("content-length", "0"))
        if length > LONGEST_BODY_BYTES:
            self.send_error(413)
            return
        response = lambda_handler(event(self.path, dict(self.headers), self.rfile.read(length)), None)
        body = response["body"].encode()
        self.send_response(response["statusCode"])
        for name, value in {**response["headers"], "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write no line for a request."""


def event(address: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """Return what a function URL makes of a POST. Source: AWS Lambda Developer Guide, payload format 2.0."""
    parts = urlsplit(address)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.path,
        "rawQueryString": parts.query,
        "headers": {name.lower(): value for name, value in headers.items()},
        "requestContext": {"http": {"method": "POST", "path": parts.path, "protocol": "HTTP/1.1"}},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 0), FunctionUrl)
    sys.stdout.write(f"listening http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
