"""verdin's own integration suite, which was written against the original; one line for each of its tests."""

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

from checks import check, end

BIN = Path(sys.executable).parent
# It reads the table of `tb token ls`, which is wrapped in a wide terminal.
ENVIRONMENT = {**os.environ, "COLUMNS": "60", "SKIP_TINYBIRD_LOCAL_START": "1"}


def run(*command: str, cwd: str = ".") -> str:
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1}:
        raise AssertionError((done.stdout + done.stderr)[-1500:])
    return done.stdout + done.stderr


download = ("download", "--quiet", "--no-deps", "--no-binary", ":all:", "verdin==0.5.3")
with check("its suite is downloaded"):
    run(str(BIN / "python"), "-m", "pip", *download)
    with tarfile.open(next(Path().glob("verdin-*.tar.gz"))) as archive:
        archive.extractall(filter="data")
(source,) = Path().glob("verdin-*/")
with check("tb --local deploy of its project"):
    text = run(str(BIN / "tb"), "--local", "deploy", "--wait", "--auto", cwd=str(source / "tests/integration/project"))
    assert "is live" in text, text[-1500:]
text = run(str(BIN / "python"), "-m", "pytest", "-rA", "-q", "--tb=line", "tests/integration", cwd=str(source))
found = re.findall(r"^(PASSED|FAILED|ERROR) (\S+)(?: - (.*))?$", text, flags=re.MULTILINE)
for outcome, name, reason in found:
    with check(name.removeprefix("tests/integration/")):
        assert outcome == "PASSED", reason
with check("all 43 of them ran"):
    assert len(found) == 43, text[-1500:]
end()
