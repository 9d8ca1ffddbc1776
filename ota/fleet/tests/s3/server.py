"""An S3 server on this machine (moto) that checks every request's SigV4 signature and the rights of who signed it.

Prints one line of JSON: address, bucket, access key, secret. Ends when its standard input does. It answers one request at a
time, so that its conditional writes are what S3 promises: checked and done at once.
"""

import json
import os
import sys
import threading

os.environ.setdefault("MOTO_DOCKER_NETWORK_MODE", "none")

import boto3
from moto import settings
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "models"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


class Quiet(WSGIRequestHandler):
    def log(self, *_args, **_kwargs):
        pass


def client(service, url):
    return boto3.client(
        service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="nobody", aws_secret_access_key="nothing"
    )


def main():
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=False, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.port}"
    iam = client("iam", url)
    iam.create_user(UserName="publisher")
    iam.put_user_policy(UserName="publisher", PolicyName="publish", PolicyDocument=json.dumps(POLICY))
    key = iam.create_access_key(UserName="publisher")["AccessKey"]
    client("s3", url).create_bucket(Bucket=BUCKET)
    # From here on every request must be signed by a key that this server made.
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    said = {"url": url, "bucket": BUCKET, "key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    print(json.dumps(said), flush=True)
    sys.stdin.read()


main()
