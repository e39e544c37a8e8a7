"""The tenants' server, asked over real sockets.

    python examples/axum_tenants/check.py target/debug/examples/axum_tenants

Starts it, and fails where anything isn't as its users, or Prometheus, expect it.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time


class Server:
    def __init__(self, program, state):
        self.process = subprocess.Popen([program, "--state", state], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on http://"), line
        self.address = line.removeprefix("listening on http://").strip()

    def ask(self, method, path, key=None, body=""):
        connection = http.client.HTTPConnection(self.address, timeout=10)
        connection.request(method, path, body, {"x-api-key": key} if key else {})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        text = answer.read().decode()
        connection.close()
        return answer.status, headers, text

    def work(self, key, body="hello"):
        return self.ask("POST", "/work", key, body)

    def end(self):
        """How long it takes to end once it is asked to."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0, self.process.returncode
        return time.monotonic() - begin


def nobody_comes_in_without_a_key(server):
    for key in [None, "sk-guess"]:
        assert server.work(key)[0] == 401


def a_free_tenant_has_five_a_minute_and_is_told_so(server):
    for left in [4, 3, 2, 1, 0]:
        status, headers, text = server.work("sk-free")
        assert (status, json.loads(text)["length"]) == (200, 5), text
        assert f'"requests-per-minute";r={left};t=' in headers["ratelimit"], headers
        assert '"requests-per-minute";q=5;w=60' in headers["ratelimit-policy"], headers
        assert '"tokens-per-minute";q=5000;qu="tokens";w=60' in headers["ratelimit-policy"], headers
        assert headers["x-ratelimit-remaining"] == str(left), headers
    status, headers, text = server.work("sk-free")
    assert status == 429, status
    assert 1 <= int(headers["retry-after"]) <= 12, headers
    assert headers["content-type"] == "application/problem+json", headers
    assert json.loads(text)["violated-policies"] == ["requests-per-minute"], text


def others_are_not_held_up(server):
    for key in ["sk-free-too", "sk-pro", "sk-enterprise"]:
        assert server.work(key)[0] == 200, key


def what_is_too_large_is_a_413(server):
    status, _, text = server.work("sk-free-too", "x" * 20_100)
    assert status == 413, status
    assert "5025 of 5000 tokens per minute" in text, text


def a_tenant_sees_its_own_use(server):
    status, _, text = server.ask("GET", "/usage", "sk-free")
    assert status == 200, status
    day = [limit for limit in json.loads(text)["limits"] if limit["limit"]["window_seconds"] == 86400]
    assert day[0]["used"] == 5, text


def prometheus_reads_what_happened(server):
    status, headers, text = server.ask("GET", "/metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4"), headers
    lines = text.splitlines()
    for name, least in [
        ('tower_quota_granted_total{pool="free",', 6),
        ('tower_quota_refused_total{pool="free",model="",limit="requests per minute",reason="limit_reached"}', 1),
        ('tower_quota_left{pool="shared",', 0),
        ('tower_quota_wait_seconds_bucket{pool="shared",', 0),
    ]:
        found = [line for line in lines if line.startswith(name)]
        assert found and float(found[0].split()[-1]) >= least, (name, found)
    assert "# HELP tower_quota_granted_total" in text
    for secret in ["sk-", "fay", "paula"]:
        assert secret not in text, secret


def it_ends_at_once_and_answers_what_has_begun(server):
    answers = []
    asking = threading.Thread(target=lambda: answers.append(server.work("sk-enterprise")[0]))
    asking.start()
    time.sleep(0.01)
    took = server.end()
    asking.join()
    assert answers == [200], answers
    assert took < 1, took
    return f"{took * 1000:.0f} ms"


def a_restart_keeps_the_count_of_the_day(program, state):
    server = Server(program, state)
    a_tenant_sees_its_own_use(server)
    assert server.work("sk-free")[0] == 429, "the minute goes on, too"
    server.end()


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        state = os.path.join(folder, "counts.json")
        server = Server(program, state)
        try:
            for check in [
                nobody_comes_in_without_a_key,
                a_free_tenant_has_five_a_minute_and_is_told_so,
                others_are_not_held_up,
                what_is_too_large_is_a_413,
                a_tenant_sees_its_own_use,
                prometheus_reads_what_happened,
                it_ends_at_once_and_answers_what_has_begun,
            ]:
                told = check(server)
                print("ok:", check.__name__.replace("_", " "), told or "", flush=True)
            a_restart_keeps_the_count_of_the_day(program, state)
            print("ok: a restart keeps the count of the day", flush=True)
        finally:
            server.process.kill()


main(sys.argv[1])
