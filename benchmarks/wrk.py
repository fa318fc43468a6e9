"""Load by wrk (a package of Debian), which itself costs less processor time than locust."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import NamedTemporaryFile

SCRIPT = """
local requests, turn, count = {%s}, 0, 0
wrk.headers["Authorization"] = "Bearer %s"
wrk.headers["Content-Type"] = "application/json"
request = function()
    turn, count = turn %% #requests + 1, count + 1
    local method, path, body = unpack(requests[turn])
    return wrk.format(method, path, nil, body and body:gsub("COUNT", count))
end
"""


@dataclass(frozen=True)
class Request:
    """A request, and its body where it has one, in which `COUNT` is another number each time."""

    path: str
    method: str = "GET"
    body: str | None = None

    @property
    def lua(self) -> str:
        """Method, path and body."""
        body = "nil" if self.body is None else json.dumps(self.body)
        return f"{{{json.dumps(self.method)}, {json.dumps(self.path)}, {body}}}"


def is_installed() -> bool:
    return shutil.which("wrk") is not None


def rate(
    port: int, token: str, requests: Sequence[Request], connections: int, seconds: int
) -> float:
    """Answers a second to these requests, sent in turn over all connections.

    Raises:
        RuntimeError: some answers were errors, so that something else was measured.
    """
    with NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT % (", ".join(one.lua for one in requests), token))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name]
        command += ["--timeout", "10s", f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # ours
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    return float(re.findall(r"Requests/sec: +([\d.]+)", done.stdout)[0])
