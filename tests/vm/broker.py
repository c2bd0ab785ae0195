# SPDX-License-Identifier: Apache-2.0
"""Mosquitto on a free port of the host's loopback, and a subscriber that never loses its place."""
import datetime
import json
import os
import socket
import subprocess
import threading

from machine import die_with_parent, wait_for


def seconds(text):
    """Since 1970, of a time in a payload."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Broker:
    """Keeps sessions and what waits for them over its own restarts."""

    def __init__(self, place, user=None, password=None):
        self.place = place
        self.login = ["-u", user, "-P", password] if user else []
        self.port = _free_port()
        self.process = None
        self.conf = os.path.join(place, "mosquitto.conf")
        with open(self.conf, "w", encoding="ascii") as conf:
            conf.write(f"listener {self.port} 127.0.0.1\n"
                       f"allow_anonymous {'false' if user else 'true'}\n"
                       f"persistence true\npersistence_location {place}/\n"
                       "max_queued_messages 0\nmax_inflight_messages 0\nuser root\n")
            if user:
                conf.write(f"password_file {place}/passwords\n")
        if user:
            subprocess.run(["mosquitto_passwd", "-b", "-c", os.path.join(place, "passwords"), user,
                            password], check=True)
        self.start()

    def start(self):
        """Returns once it listens."""
        with open(os.path.join(self.place, "mosquitto.log"), "ab") as log:
            self.process = subprocess.Popen(["mosquitto", "-c", self.conf], stdout=log,
                                            stderr=log, preexec_fn=die_with_parent)
        wait_for("mosquitto", self._listens)

    def _listens(self):
        with socket.socket() as link:
            return link.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        """It writes down what it has."""
        if self.process:
            self.process.terminate()
            self.process.wait()
        self.process = None


class Subscriber:
    """All that is published, in the order in which it comes."""

    def __init__(self, broker, client="subscriber"):
        self.messages = []  # (topic, payload), payload as JSON where it is that
        self.process = subprocess.Popen(
            ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.port), *broker.login, "-V", "311",
             "-c", "-i", client, "-q", "2", "-F", "%r\t%t\t%p", "-t", "#"],
            stdout=subprocess.PIPE, text=True, bufsize=1,
            preexec_fn=die_with_parent)
        threading.Thread(target=self._read, daemon=True).start()
        # Only from its first message on does it come back where the broker goes away.
        wait_for("the subscriber", lambda: self._is_there(broker))

    def _is_there(self, broker):
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port),
                        *broker.login, "-t", "subscriber", "-m", "is there"], check=True)
        return self.on("subscriber")

    def _read(self):
        for line in self.process.stdout:
            retained, topic, payload = line.rstrip("\n").split("\t", 2)
            # It subscribes anew where the broker was away, and is told what it knew.
            if retained == "1":
                continue
            try:
                payload = json.loads(payload)
            except ValueError:
                pass
            self.messages.append((topic, payload))

    def on(self, topic):
        """Payloads that came on that topic, so far."""
        return [payload for where, payload in list(self.messages) if where == topic]

    def stop(self):
        """No more is taken."""
        self.process.terminate()
        self.process.wait()
