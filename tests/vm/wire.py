# SPDX-License-Identifier: Apache-2.0
"""What is at the other end of a machine's serial ports."""
import os
import select
import subprocess
import termios
import threading
import time
import tty

from machine import connect, die_with_parent, wait_for

# Longer than QEMU ever pauses in the midst of a frame, shorter than a gateway between two.
FRAME_GAP_S = 0.05


class Simulated:
    """Devices that `postbus sim` plays, on the port whose socket is `path`."""

    def __init__(self, postbus, path, devices, baud, place):
        self.link = os.path.join(place, f"sim{id(self)}")
        self.log = open(self.link + ".log", "w+", encoding="utf-8")
        maps = os.path.join(os.path.dirname(__file__), "../../devices")
        self.process = subprocess.Popen(
            [postbus, "sim", *devices, "--maps", maps, "--link", self.link, "--baud", str(baud)],
            stdout=self.log, stderr=self.log, preexec_fn=die_with_parent)
        wait_for("the simulator", lambda: os.path.exists(self.link))
        self.terminal = os.open(self.link, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.terminal, termios.TCSANOW)
        # What comes at another speed is noise to the simulator, as it is to a device.
        settings = termios.tcgetattr(self.terminal)
        settings[4] = settings[5] = getattr(termios, f"B{baud}")
        termios.tcsetattr(self.terminal, termios.TCSANOW, settings)
        self.machine = connect(path)
        threading.Thread(target=self._to_machine, daemon=True).start()
        threading.Thread(target=self._to_simulator, daemon=True).start()

    def _to_machine(self):
        try:
            while True:
                self.machine.sendall(os.read(self.terminal, 4096))
        except (OSError, ValueError):  # it was stopped
            pass

    def _to_simulator(self):
        """QEMU gives bytes one by one, as it has time; a device wants a frame without gaps."""
        try:
            while data := self.machine.recv(4096):
                while select.select([self.machine], [], [], FRAME_GAP_S)[0]:
                    more = self.machine.recv(4096)
                    if not more:
                        return
                    data += more
                os.write(self.terminal, data)
        except (OSError, ValueError):  # it was stopped
            pass

    def stop(self):
        """The devices are gone, the wire is left."""
        self.process.terminate()
        self.process.wait()
        self.machine.close()
        os.close(self.terminal)
        self.log.close()


class Talker:
    """A device that says `unit` again and again, until it is stopped."""

    def __init__(self, path, unit, period_s=0.2):
        self.machine = connect(path)
        self.unit = unit
        self.period_s = period_s
        self.stopped = False
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            while not self.stopped:
                self.machine.sendall(self.unit)
                time.sleep(self.period_s)
        except (OSError, ValueError):  # it was stopped
            pass

    def stop(self):
        """It falls silent."""
        self.stopped = True
        self.machine.close()
