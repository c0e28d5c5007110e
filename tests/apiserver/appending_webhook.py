"""Another webhook: it adds the container `late` to every pod that lacks it. Arguments: port, certificate, key."""

from __future__ import annotations

import base64
import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTAINER = {"name": "late", "image": "late:1", "command": ["late"]}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        spec = review["request"]["object"]["spec"]
        names = [container["name"] for container in (*spec["containers"], *spec.get("initContainers", ()))]
        response = {"uid": review["request"]["uid"], "allowed": True}
        if CONTAINER["name"] not in names:
            patch = [{"op": "add", "path": "/spec/containers/-", "value": CONTAINER}]
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        body = json.dumps({**review, "request": None, "response": response}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
