"""A web server of files in memory that knows ranges and versions, and can break off."""

import contextlib
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator


class FileServer:
    """Files by their names, served at ``url``.

    Attributes:
        url: address without a slash at its end.
        files: content by name; what is changed here, is served from then on.
        break_after: bytes of an answer after which the next connections are closed, one number each.
        knows_ranges: whether parts of files are served.
        requests: (name, range or empty, bytes sent) of each answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes] = {}
        self.break_after: list[int] = []
        self.knows_ranges = True
        self.requests: list[tuple[str, str, int]] = []


@contextlib.contextmanager
def serving() -> Iterator[FileServer]:
    """Run a server in a thread until the block ends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            content = state.files.get(name)
            if content is None:
                self.send_error(404)
                return
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            asked = self.headers.get("Range", "")
            match = re.fullmatch(r"bytes=(\d+)-", asked)
            start = int(match[1]) if match and self.headers.get("If-Range") == tag else 0
            if not state.knows_ranges:
                start = 0
            if start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", tag)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            sent = min(state.break_after.pop(0), len(body)) if state.break_after else len(body)
            self.wfile.write(body[:sent])
            self.close_connection = True
            state.requests.append((name, asked, sent))

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        state = FileServer(f"http://127.0.0.1:{running.server_port}")
        # It looks every 10 ms whether it is to end.
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield state
        finally:
            running.shutdown()
