"""Reads a repository with python-tuf's client, the reference implementation, from a folder instead of a server.

read_repository.py FOLDER CACHE TARGET…: FOLDER/metadata with FOLDER/metadata/1.root.json to begin with, FOLDER/targets.
Prints for each target its digest, or the name of the error.
"""

import json
import sys
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater


class Folder(FetcherInterface):
    def _fetch(self, url):
        path = Path(url.removeprefix("file://"))
        if not path.is_file():
            raise DownloadHTTPError("not there", 404)
        yield path.read_bytes()


folder, cache = Path(sys.argv[1]), Path(sys.argv[2])
(cache / "targets").mkdir(parents=True, exist_ok=True)
(cache / "metadata").mkdir(exist_ok=True)
client = Updater(
    str(cache / "metadata"),
    f"file://{folder}/metadata/",
    str(cache / "targets"),
    f"file://{folder}/targets/",
    fetcher=Folder(),
    bootstrap=(folder / "metadata/1.root.json").read_bytes(),
)
answers = {}
try:
    client.refresh()
    for path in sys.argv[3:]:
        found = client.get_targetinfo(path)
        answers[path] = None
        if found is not None:
            client.download_target(found)
            answers[path] = found.hashes["sha256"]
except Exception as error:  # noqa: BLE001 (its kind is the answer)
    answers = {"error": type(error).__name__, "text": str(error)}
print(json.dumps(answers))
