"""Failovers of one pair while a client commits and remembers what was acknowledged."""

from support import Case, wait_until


class FailoverCase(Case):
    """`pair` is set by the setUpModule of the tests."""

    pair = None

    def setUp(self):
        self.pair.home.ensure_howdahd()
        self.pair.wait_until_healthy()
        self.before = self.pair.zones()
        self.term = self.pair.term()
        self.probe = self.pair.probe().start()
        self.assertTrue(self.probe.wait_for_more(), self.probe.errors[-3:])

    def tearDown(self):
        self.probe.stop()

    def goes_on(self, timeout=60):
        self.assertTrue(self.probe.wait_for_more(timeout=timeout), self.probe.errors[-3:])

    def nothing_is_lost(self):
        self.goes_on()
        self.probe.stop()
        self.assertEqual(self.probe.lost(), [])
        print(f"longest time without a commit: {self.probe.longest_gap():.3f} s")

    def zones_were_exchanged(self):
        wait_until("the API has seen the failover",
                   lambda: self.pair.zones() == (self.before[1], self.before[0]), 30)
        self.pair.wait_until_healthy()
