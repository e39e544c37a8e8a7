"""A long file, killed with -9 and gone on with: every line is answered once, and memory stays flat.

    python examples/parallel_processor/million.py target/release/examples/parallel_processor [lines] [kills]

Serves the answers itself, on loopback. Fails where a line is lost or stands there twice, where more than what was on its way had to be
sent again, or where a run's memory grows between its first tenth and its end by more than 16 MB beside what it has to know of the
lines that are done.
"""

import asyncio
import multiprocessing
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

# On their way or waiting for it at most, as the program has it.
MOST_AT_ONCE = 64 + 32
MEGABYTE = 1024


class Answers(asyncio.Protocol):
    """As little HTTP as it takes."""

    served = 0
    body = b'{"choices":[{"message":{"role":"assistant","content":"yes"}}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}'
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    def connection_made(self, transport):
        self.transport, self.left = transport, b""

    def data_received(self, data):
        self.left += data
        while (end := self.left.find(b"\r\n\r\n")) >= 0:
            length = int(re.search(rb"content-length: (\d+)", self.left[:end], re.IGNORECASE)[1])
            if len(self.left) < end + 4 + length:
                return
            self.left = self.left[end + 4 + length :]
            Answers.served += 1
            self.transport.write(Answers.answer)


def serve(port, served):
    async def forever():
        server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0)
        port.value = server.sockets[0].getsockname()[1]
        while True:
            await asyncio.sleep(0.05)
            served.value = Answers.served

    asyncio.run(forever())


def resident(process):
    """Of a process, in kB; None once it has ended."""
    try:
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    except FileNotFoundError:
        return None
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) if found else None


def run(command, served, until, lines):
    """Runs it until so many are served, then kills it; returns the memory after a tenth, the most, and whether it ended."""
    begun, first = served.value, None
    process, most = subprocess.Popen(command), 0
    while process.poll() is None:
        memory = resident(process) or 0
        most = max(most, memory)
        if first is None and served.value - begun >= lines / 10:
            first = memory
        if until and served.value >= until:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return first, most, False
        time.sleep(0.05)
    assert process.returncode == 0, process.returncode
    return first, most, True


def main(program, lines=1_000_000, kills=2):
    lines, kills = int(lines), int(kills)
    port, served = multiprocessing.Value("i"), multiprocessing.Value("q")
    server = multiprocessing.Process(target=serve, args=(port, served), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory(prefix="million-") as folder:
        requests, output = os.path.join(folder, "requests.jsonl"), os.path.join(folder, "answers.jsonl")
        with open(requests, "w") as file:
            for i in range(lines):
                file.write(f'{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"Is {i} a number?"}}]}}\n')
        while not port.value:
            time.sleep(0.01)
        command = [program, "--quiet", "--requests", requests, "--output", output, "--base-url", f"http://127.0.0.1:{port.value}/v1"]
        begun, ended, number = time.monotonic(), False, 0
        while not ended:
            number += 1
            until = lines * number // (kills + 1) if number <= kills else None
            done = sum(1 for _ in open(output, "rb")) if os.path.exists(output) else 0
            first, most, ended = run(command, served, until, lines)
            told = f"{done:,} lines were done; memory {(first or most) / MEGABYTE:.1f} MB after a tenth, {most / MEGABYTE:.1f} MB at the most"
            print(f"run {number}: {told}; {'ended' if ended else 'killed'}", flush=True)
            # What is known of each line that is done, in a table that is at most half empty.
            assert first is None or most - first < 16 * MEGABYTE + done * 64 / 1024, "memory grows"
        seconds = time.monotonic() - begun
        seen = bytearray(lines)
        for line in open(output, "rb"):
            i = int(re.match(rb'\[\{.*?Is (\d+) a number\?', line)[1])
            assert not seen[i], f"line {i} stands there twice"
            seen[i] = 1
        assert all(seen), f"{lines - sum(seen)} lines are lost"
        assert served.value <= lines + kills * MOST_AT_ONCE + 64, f"{served.value} were sent"
        print(f"{lines:,} lines, each answered once; {served.value:,} sent, {kills} kills, {lines / seconds:,.0f} lines a second")
    server.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])
