"""An operator's desk and one car in a folder: the three programs as they are installed, driven as people drive them.

For `recipe.loop`. Keys are made here and protect nothing.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

WAIT_S = 180

CAR = """schema = 1
[run]
name = "car-1"
directory = "{board}/run"
lock_memory = false
realtime_priority = 0
[[camera]]
name = "front"
source = "{drive}"
calibration = "{calibration}"
functions = ["stop_sign"]
[[model]]
name = "small"
onnx = "{onnx}"
manifest = "{manifest}"
[vehicle]
source = "constant"
[vehicle.constant]
speed = {speed}
[capture]
enabled = true
spool = "{board}/spool"
recipients = ["{recipient}"]
keep_free_bytes = 1000000
"""

# What is worth learning from: signs of which the model is not sure, what it saw for a moment only, and a share of
# everything, since what it never sees asks for nothing.
RULES = """[[capture.rule]]
rule = "near_threshold"
labels = ["stop_sign"]
within = {within}
class = 7
longest_side = 640
per_minute = 1000
per_hour = 1000
[[capture.rule]]
rule = "flicker"
shorter_than_s = 0.7
class = 6
longest_side = 640
per_minute = 1000
per_hour = 1000
[[capture.rule]]
rule = "random"
rate = {rate}
class = 1
longest_side = 640
per_minute = 1000
per_hour = 1000
"""

AGENT = """repository = "{server}/repository"
hardware = "board"
models = ["stopline-small"]
home = "{board}/agent"
depot = "{board}/depot"
state = "{board}/state"
trust = "{board}/trust"
fleet_url = "{server}"
[device]
network = "ethernet"
synchronised_file = "{board}/trust/root.json"
[poll]
start_within_s = 0
[upload]
spool = "{board}/spool"
look_s = 1
first_back_off_ms = 200
longest_back_off_ms = 1000
[tls]
authorities_file = "{desk}/fleet/authorities.pem"
[enrolment]
url = "{server}"
"""


class Desk:
    """Three key holders, a repository, a server; and what belongs to them."""

    def __init__(self, folder, programs):
        self.folder, self.programs, self.running = Path(folder).resolve(), Path(programs).resolve(), []
        self.folder.mkdir(parents=True)
        self.path("passphrase").write_text("correct horse\n", encoding="utf-8")
        self.said = open(self.path("said.log"), "w", encoding="utf-8")
        for line in ("key new anna/anna", "key new ben/ben", "key new cleo/cleo", "key online online",
                     "init --holder anna/anna.pub --holder ben/ben.pub --holder cleo/cleo.pub --online online"):
            self.fleet(line)
        self.signed("publish repository --online online")

    def path(self, name):
        """A place on the desk."""
        return self.folder / name

    def fleet(self, line):
        """Runs `stopline-fleet` as an operator types it; what it said."""
        environment = {**os.environ, "STOPLINE_PROGRAM": str(self.programs / "stopline"), "STOPLINE_PASSPHRASE_FILE": "passphrase"}
        out = subprocess.run([str(self.programs / "stopline-fleet"), *line.split()], cwd=self.folder, env=environment, capture_output=True, text=True)
        self.said.write(f"$ stopline-fleet {line}\n{out.stdout}{out.stderr}")
        self.said.flush()
        if out.returncode:
            raise SystemExit(f"stopline-fleet {line} ended with {out.returncode}:\n{out.stdout}{out.stderr}")
        return out.stdout

    def json(self, line):
        """The same with `--json`."""
        return json.loads(self.fleet(f"{line} --json"))

    def signed(self, line):
        """Two of three sign, then `line` publishes."""
        for holder in ("anna", "cleo"):
            self.fleet(f"sign --key {holder}/{holder}.pem")
        return self.fleet(line)

    def serve(self):
        """The server, on addresses of its own choice; where devices come."""
        command = [str(self.programs / "stopline-fleet"), "serve", "--json", "--devices", "127.0.0.1:0", "--operators", "127.0.0.1:0",
                   "--mqtt", "127.0.0.1:0", "--data", str(self.path("fleet"))]
        process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=self.said, text=True)
        self.running.append(process)
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the server said nothing; see {self.path('said.log')}")
        return f"https://{json.loads(line)['devices']}"

    def close(self):
        """Ends what was started here."""
        for process in self.running:
            if process.poll() is None:
                process.terminate()
                process.wait()
        self.said.close()


class Car:
    """One device: the runtime that drives and captures, the agent that brings records away and models in."""

    def __init__(self, desk, name="car-1"):
        self.desk, self.name, self.board, self.config = desk, name, desk.path(name), desk.path(name) / "agent.toml"
        (self.board / "spool").mkdir(parents=True)

    def drive(self, recording, calibration, speed, model, manifest, recipient, within, rate):
        """The recording through the daemon, with capture, at the recording's own pace. Returns the ledger's counts."""
        names = {"board": self.board, "drive": Path(recording).resolve(), "calibration": Path(calibration).resolve(), "speed": speed,
                 "onnx": Path(model).resolve(), "manifest": Path(manifest).resolve(), "recipient": recipient}
        config, log = self.board / "stopline.toml", self.board / "daemon.log"
        config.write_text(CAR.format(**names) + RULES.format(within=within, rate=rate), encoding="utf-8")
        with open(log, "w", encoding="utf-8") as said:
            daemon = subprocess.Popen([str(self.desk.programs / "stopline"), "run", "--config", str(config)], stderr=said, stdout=said)
            self.desk.running.append(daemon)
            over = lambda: "the recording is over" in log.read_text(encoding="utf-8") or daemon.poll() is not None
            wait("the recording's end", over, WAIT_S + 600)
            # What was taken last is still on its way to the spool.
            time.sleep(3)
            daemon.terminate()
            if daemon.wait():
                raise SystemExit(f"the daemon ended with {daemon.returncode}; see {log}")
        return self.ledger()

    def ledger(self):
        """What became of records: event → digests."""
        found = {}
        for path in (self.board / "spool" / "ledger").glob("*.jsonl"):
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                # A file begins with the totals of those before it.
                if "event" not in row:
                    continue
                found.setdefault(row["event"], set()).add(row["digest"])
        return found

    def enrolled(self, server):
        """Lets the device in by a token."""
        trust = self.board / "trust"
        trust.mkdir()
        shutil.copyfile(self.desk.path("repository/metadata/1.root.json"), trust / "root.json")
        (trust / "floor.json").write_text('{"schema": 1, "models": {}}', encoding="utf-8")
        (trust / "deny.json").write_text('{"schema": 1, "digests": []}', encoding="utf-8")
        self.config.write_text(AGENT.format(server=server, board=self.board, desk=self.desk.folder), encoding="utf-8")
        token = self.desk.json(f"devices token --name {self.name} --data fleet")["token"]
        self.agent("enroll", "--token", token)

    def agent(self, *words):
        """One run of the agent; what it printed."""
        out = subprocess.run([str(self.desk.programs / "stopline-agent"), *words, "--config", str(self.config)], capture_output=True, text=True)
        self.desk.said.write(f"$ stopline-agent {words[0]}\n{out.stdout}{out.stderr}")
        if out.returncode:
            raise SystemExit(f"stopline-agent {words[0]} ended with {out.returncode}:\n{out.stdout}{out.stderr}")
        return out.stdout

    def upload(self):
        """The agent as a service until every captured record is delivered."""
        with open(self.board / "agent.log", "w", encoding="utf-8") as said:
            agent = subprocess.Popen([str(self.desk.programs / "stopline-agent"), "run", "--config", str(self.config)], stderr=said, stdout=said)
            self.desk.running.append(agent)
            wait("every record delivered", lambda: self.ledger().get("delivered", set()) >= self.ledger()["captured"] - self.ledger().get("evicted", set()))
            agent.terminate()
            agent.wait()

    def fetched(self, digest):
        """Polls until the bundle with this digest lies in the depot, checked; its path."""
        slot = self.board / "depot" / "slots" / digest
        for _ in range(20):
            self.agent("check-now", "--json")
            if (slot / "bundle.tar").exists():
                return slot / "bundle.tar"
            time.sleep(3)
        raise SystemExit(f"{digest} did not come; see {self.desk.path('said.log')}")


def wait(what, done, most=WAIT_S):
    """Until it is so."""
    until = time.monotonic() + most
    while not done():
        if time.monotonic() > until:
            raise SystemExit(f"{what}: not seen within {most} s")
        time.sleep(0.1)
