"""The commands of docs/guide/azure-clients.md, word by word, as a fresh user would type them."""

import os
import re
import shutil
import subprocess
import unittest

from support import Case, howdah_client, started_home

GUIDE = os.path.join(howdah_client.ROOT, "docs", "guide", "azure-clients.md")


class Guide(Case):
    def test_the_commands_of_the_guide_do_what_it_says(self):
        if not shutil.which("az"):
            self.skipTest("SKIPPED: az is not installed (Debian: azure-cli)")
        with open(GUIDE, encoding="utf-8") as file:
            blocks = re.findall(r"^```sh\n(.*?)^```", file.read(), re.S | re.M)
        self.assertGreater(len(blocks), 5)
        home = started_home()
        try:
            user = os.path.join(home.folder, "guide")
            os.mkdir(user)
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)], cwd=user, text=True,
                stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=False,
                env={"PATH": howdah_client.bin_dir() + ":" + os.environ["PATH"], "HOME": user,
                     "LANG": "C.UTF-8", "HOWDAH_HOME": home.dir,
                     "GUIDE_PASSWORD": howdah_client.password(),
                     "AZURE_CORE_COLLECT_TELEMETRY": "no"})
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            for seen in ("guide-server", "hello", "guide-admin", "8MB", "guide-server/shop", "2 to create"):
                self.assertIn(seen, done.stdout)
            self.assertEqual(home.get(home.server_path("guide-server", "guide")).status, 404)
        finally:
            home.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
