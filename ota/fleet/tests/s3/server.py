"""An S3 server on this machine (moto) that checks every request's SigV4 signature and the rights of who signed it.

Prints one line of JSON: address, bucket, access key, secret. Ends when its standard input does. It answers one request at a
time, so that its conditional writes are what S3 promises: checked and done at once. With three arguments, a certificate, its
key and who issued it, in PEM, it speaks TLS.

Pre-signed requests moto does not check (with rights switched on it cannot answer them at all): `PreSigned` does, by the
standard's own steps: signature, expiry, that each header of S3's own is signed, and the body against its checksum. To moto they
then go on as the same key's plain requests. A POST to /_control lets a test look at objects, change them, move the clock that
expiry is judged by, and say what befalls the next pre-signed requests.
"""

import base64
import hashlib
import hmac
import json
import os
import socket
import sys
import threading
from datetime import datetime, timedelta, timezone
from io import BytesIO
from urllib.parse import parse_qsl, quote

os.environ.setdefault("MOTO_DOCKER_NETWORK_MODE", "none")

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto import settings
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "models"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


class Quiet(WSGIRequestHandler):
    def log(self, *_args, **_kwargs):
        pass


class Refused(Exception):
    def __init__(self, status, code):
        super().__init__(code)
        self.status, self.code = status, code


class PreSigned:
    """Checks pre-signed requests as S3 does, and hands them on."""

    def __init__(self, app, url):
        self.app, self.url = app, url
        self.key = self.secret = None
        self.ahead_s, self.faults, self.away = 0, [], False
        self.seen = []

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/_control":
            return self.control(environ, start_response)
        if self.away:
            return hang_up(environ, start_response)
        query = parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)
        if "X-Amz-Signature" not in dict(query):
            return self.app(environ, start_response)
        fault = self.faults.pop(0) if self.faults else None
        if fault == "cut":
            return hang_up(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            if fault == "busy":
                raise Refused("503 Slow Down", "SlowDown")
            if fault == "portal":
                return say(start_response, "200 OK", "<html>Welcome to the hotel. Please log in.</html>")
            self.check(environ, query, body)
        except Refused as refused:
            self.seen.append([environ["REQUEST_METHOD"], environ["PATH_INFO"], refused.code])
            return say(start_response, refused.status, f"<Error><Code>{refused.code}</Code></Error>")
        self.seen.append([environ["REQUEST_METHOD"], environ["PATH_INFO"], fault or "ok"])
        answer = self.app(self.as_plain(environ, body), start_response if fault != "no_answer" else lambda *_: None)
        return hang_up(environ, start_response) if fault == "no_answer" else answer

    def check(self, environ, query, body):
        fields = dict(query)
        begun = datetime.strptime(fields["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        now = datetime.now(timezone.utc) + timedelta(seconds=self.ahead_s)
        if now > begun + timedelta(seconds=int(fields["X-Amz-Expires"])):
            raise Refused("403 Forbidden", "AccessDenied: Request has expired")
        key, *scope = fields["X-Amz-Credential"].split("/")
        if key != self.key:
            raise Refused("403 Forbidden", "InvalidAccessKeyId")
        headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
        signed = fields["X-Amz-SignedHeaders"].split(";")
        if any(name not in signed for name in headers if name.startswith("x-amz-")):
            raise Refused("403 Forbidden", "AccessDenied: There were headers present in the request which were not signed")
        canonical = "\n".join([
            environ["REQUEST_METHOD"],
            environ["REQUEST_URI"].partition("?")[0],
            "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query if name != "X-Amz-Signature")),
            "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in signed),
            ";".join(signed),
            "UNSIGNED-PAYLOAD",
        ])
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = "\n".join(["AWS4-HMAC-SHA256", fields["X-Amz-Date"], "/".join(scope), digest])
        secret = f"AWS4{self.secret}".encode()
        for part in [*scope, to_sign]:
            secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(secret.hex(), fields["X-Amz-Signature"]):
            raise Refused("403 Forbidden", "SignatureDoesNotMatch")
        checksum = headers.get("x-amz-checksum-sha256")
        if checksum and checksum != base64.b64encode(hashlib.sha256(body).digest()).decode():
            raise Refused("400 Bad Request", "BadDigest")

    def as_plain(self, environ, body):
        """The same request as the same key makes it without a signed address."""
        plain = {name: value for name, value in environ.items() if not name.startswith("HTTP_X_AMZ_")}
        path = environ["REQUEST_URI"].partition("?")[0]
        request = AWSRequest(method=environ["REQUEST_METHOD"], url=self.url + path, data=body)
        S3SigV4Auth(Credentials(self.key, self.secret), "s3", "us-east-1").add_auth(request)
        plain.update({f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()})
        plain["HTTP_HOST"] = environ["HTTP_HOST"]
        plain.update({"QUERY_STRING": "", "REQUEST_URI": path, "RAW_URI": path, "wsgi.input": BytesIO(body)})
        return plain

    def control(self, environ, start_response):
        wanted = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        self.ahead_s = wanted.get("ahead_s", self.ahead_s)
        self.faults = wanted.get("faults", self.faults)
        self.away = wanted.get("away", self.away)
        backend = s3_backends["123456789012"]["aws"]
        for name, text in wanted.get("put", {}).items():
            backend.put_object(BUCKET, name, text.encode())
        keys = backend.buckets[BUCKET].keys
        for name, days in wanted.get("age_days", {}).items():
            keys[name].last_modified -= timedelta(days=days)
        return say(start_response, "200 OK", json.dumps({"objects": sorted(keys), "seen": self.seen, "faults": self.faults}))


def say(start_response, status, text):
    start_response(status, [("Content-Length", str(len(text.encode())))])
    return [text.encode()]


def hang_up(environ, start_response):
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    start_response("503 Gone", [])
    return []


def client(service, url, verify):
    return boto3.client(
        service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="nobody", aws_secret_access_key="nothing",
        verify=verify,
    )


def main():
    tls = tuple(sys.argv[1:3]) if len(sys.argv) == 4 else None
    app = PreSigned(DomainDispatcherApplication(create_backend_app), "")
    server = make_server("127.0.0.1", 0, app, threaded=False, request_handler=Quiet, ssl_context=tls)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    app.url = url = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}"
    verify = sys.argv[3] if tls else None
    iam = client("iam", url, verify)
    iam.create_user(UserName="publisher")
    iam.put_user_policy(UserName="publisher", PolicyName="publish", PolicyDocument=json.dumps(POLICY))
    key = iam.create_access_key(UserName="publisher")["AccessKey"]
    client("s3", url, verify).create_bucket(Bucket=BUCKET)
    # From here on every request must be signed by a key that this server made.
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    app.key, app.secret = key["AccessKeyId"], key["SecretAccessKey"]
    said = {"url": url, "bucket": BUCKET, "key": app.key, "secret": app.secret}
    print(json.dumps(said), flush=True)
    sys.stdin.read()


main()
