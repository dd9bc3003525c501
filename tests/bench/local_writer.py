"""matriarch-writer as a process of this machine, for PostgreSQL on ports of 127.0.0.1."""

import os
import subprocess

from lab_client import ROOT
from writer import Journalled

PROGRAM = ROOT / "build" / "release" / "src" / "cli" / "matriarch-writer"


class LocalWriter(Journalled):
    """Use it with `with`. It keeps its book and its journal in a folder, anew each time."""

    def __init__(self, folder, uri, number):
        super().__init__(f"writer {number}", number, str(folder / f"book-{number}"))
        self.journal_file = folder / f"journal-{number}"
        self.environment = os.environ | {"MATRIARCH_WRITER_URI": uri}
        self.process = None

    def __enter__(self):
        for path in (self.book, self.journal_file):
            if os.path.exists(path):
                os.unlink(path)
        with open(self.journal_file, "wb") as out:
            self.process = subprocess.Popen(
                [PROGRAM, "run", "--book", self.book, "--verify", "--writer", str(self.number)],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.wait_acknowledged(1, 40)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def text(self):
        return self.journal_file.read_text()

    def state(self):
        return self.process.poll()

    @property
    def stop_words(self):
        return "stop", "--pid", str(self.process.pid)

    def ask(self, *words, check=True):
        return subprocess.run([PROGRAM, *words], env=self.environment, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, check=check, timeout=60)
