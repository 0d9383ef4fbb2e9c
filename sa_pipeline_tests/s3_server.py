"""A real S3 API on loopback (moto, in a process of its own), and faults that chosen requests meet.

Fixtures, of `sa_pipeline_tests/conftest.py`:
    s3_server: the server, one a test session.
    s3: an empty bucket of it, as an `S3Bucket`, with no faults; `AWS_ENDPOINT_URL` and the keys are set in the
        environment, so that `Storage(s3.url)` and subprocesses find it.

Elsewhere (benchmarks, clusters): `with running_s3() as server:`, then `server.environment`, which other processes
need, `server.make_bucket(name)`, `server.fail(Fault(...), ...)`, `server.heal()`, `server.requests()`.

`Fault` and `Request` are those of `sa_pipeline_tests.s3_faults`.
"""

import contextlib
import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from sa_pipeline_tests.s3_faults import CONTROL, Fault, Request

REGION = "us-east-1"


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes:
        url: Its endpoint.
        pid: Its process.
    """

    url: str
    pid: int

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs in its environment to use the server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self) -> Any:
        """A boto3 client, which tries nothing twice."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="tests",
            aws_secret_access_key="tests",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def make_bucket(self, name: str) -> None:
        """Makes an empty bucket."""
        self.client().create_bucket(Bucket=name)

    def fail(self, *faults: Fault) -> None:
        """Sets the faults of all requests from now on, in place of those set before; forgets the requests so far.

        Of several that match a request, the first befalls it.
        """
        self._ask("PUT", json.dumps([fault.model_dump() for fault in faults]))

    def heal(self) -> None:
        """Ends all faults and forgets the requests so far."""
        self.fail()

    def requests(self) -> list[Request]:
        """The requests since `fail` or `heal`."""
        return [Request(**each) for each in json.loads(self._ask("GET"))]

    def _ask(self, method: str, body: str | None = None) -> bytes:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, CONTROL, body)
            return connection.getresponse().read()


@dataclass(frozen=True)
class S3Bucket:
    """A bucket of a running server."""

    server: S3Server
    name: str

    @property
    def url(self) -> str:
        """Such as `s3://name`."""
        return f"s3://{self.name}"

    def keys(self) -> list[str]:
        """Names of all objects, sorted."""
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def read(self, key: str) -> bytes:
        """An object's bytes."""
        return self.server.client().get_object(Bucket=self.name, Key=key)["Body"].read()

    def write(self, key: str, data: bytes) -> None:
        """Puts an object."""
        self.server.client().put_object(Bucket=self.name, Key=key, Body=data)

    def fail(self, *faults: Fault) -> None:
        """As the server's, for this bucket alone: parts of an upload that an earlier test called off may be late."""
        self.server.fail(*(fault.model_copy(update={"path": rf"^/{self.name}\b.*{fault.path}"}) for fault in faults))

    def requests(self) -> list[Request]:
        """What the server got for this bucket since the faults were set; late ones of earlier tests have another."""
        return [each for each in self.server.requests() if re.match(rf"/{self.name}\b", each.path)]

    def open_uploads(self) -> list[str]:
        """Keys of multipart uploads that were neither completed nor aborted."""
        found = self.server.client().list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        return sorted(upload["Key"] for upload in found)


@contextlib.contextmanager
def running_s3() -> Iterator[S3Server]:
    """Runs a server on a free port of loopback; what it holds is in memory and gone afterwards."""
    command = [sys.executable, "-W", "ignore", "-m", "sa_pipeline_tests.s3_faults"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            port = int(process.stdout.readline())
            yield S3Server(f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.kill()
