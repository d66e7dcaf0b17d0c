"""A client that commits one number after the other and remembers which were acknowledged: what a
failover may cost it, and whether anything was lost. It uses libpq itself, so that a commit is timed
and not a program that is started for it."""

import ctypes
import ctypes.util
import select
import threading
import time

CONNECTION_OK = 0
COMMAND_OK = 1
TUPLES_OK = 2
POLLING_FAILED, POLLING_READING, POLLING_WRITING, POLLING_OK = range(4)


def libpq():
    library = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
    for name, result, arguments in (
            ("PQconnectdb", ctypes.c_void_p, [ctypes.c_char_p]),
            ("PQconnectStart", ctypes.c_void_p, [ctypes.c_char_p]),
            ("PQconnectPoll", ctypes.c_int, [ctypes.c_void_p]),
            ("PQsocket", ctypes.c_int, [ctypes.c_void_p]),
            ("PQsendQuery", ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]),
            ("PQconsumeInput", ctypes.c_int, [ctypes.c_void_p]),
            ("PQisBusy", ctypes.c_int, [ctypes.c_void_p]),
            ("PQgetResult", ctypes.c_void_p, [ctypes.c_void_p]),
            ("PQstatus", ctypes.c_int, [ctypes.c_void_p]),
            ("PQerrorMessage", ctypes.c_char_p, [ctypes.c_void_p]),
            ("PQsetNoticeProcessor", ctypes.c_void_p, [ctypes.c_void_p] * 3),
            ("PQfinish", None, [ctypes.c_void_p]),
            ("PQexec", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]),
            ("PQresultStatus", ctypes.c_int, [ctypes.c_void_p]),
            ("PQgetvalue", ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]),
            ("PQntuples", ctypes.c_int, [ctypes.c_void_p]),
            ("PQclear", None, [ctypes.c_void_p])):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
def ignore_notice(_, __):
    """A server that ends has a last word for each of its clients."""


class Connection:
    """One session; execute() returns the first column, or None after a failure."""

    def __init__(self, conninfo):
        self._pq = libpq()
        self._handle = self._connected(conninfo.encode())
        self._pq.PQsetNoticeProcessor(
            self._handle, ctypes.cast(ignore_notice, ctypes.c_void_p), None)
        self.is_open = self._pq.PQstatus(self._handle) == CONNECTION_OK
        self.error = "" if self.is_open else self._message()

    def _connected(self, conninfo):
        return self._pq.PQconnectdb(conninfo)

    def _result(self, sql):
        return self._pq.PQexec(self._handle, sql)

    def _message(self):
        return self._pq.PQerrorMessage(self._handle).decode(errors="replace").strip()

    def execute(self, sql):
        result = self._result(sql.encode())
        try:
            if self._pq.PQresultStatus(result) not in (COMMAND_OK, TUPLES_OK):
                self.error = self._message()
                return None
            return [self._pq.PQgetvalue(result, row, 0).decode()
                    for row in range(self._pq.PQntuples(result))]
        finally:
            self._pq.PQclear(result)

    def close(self):
        if self._handle:
            self._pq.PQfinish(self._handle)
            self._handle = None
            self.is_open = False


class HastyConnection(Connection):
    """Gives up what is not there after PATIENCE seconds: for a client that no gateway tells that
    its server hangs. (libpq's own connect_timeout is two seconds at least, and it has none for
    answers.)"""

    PATIENCE = 0.5

    def _connected(self, conninfo):
        handle = self._pq.PQconnectStart(conninfo)
        end, state = time.monotonic() + self.PATIENCE, POLLING_WRITING
        while state in (POLLING_READING, POLLING_WRITING):
            if not self._is_ready(handle, end, state == POLLING_WRITING):
                break
            state = self._pq.PQconnectPoll(handle)
        return handle

    def _is_ready(self, handle, end, for_writing):
        """Waits until the socket can be read, or written; whether it can before `end`."""
        descriptor = self._pq.PQsocket(handle)
        if descriptor < 0:
            return False
        poller = select.poll()
        poller.register(descriptor, select.POLLOUT if for_writing else select.POLLIN)
        return bool(poller.poll(max(0.0, end - time.monotonic()) * 1000))

    def _result(self, sql):
        """Of the last statement; None, which is no success either, if it does not come."""
        end, last = time.monotonic() + self.PATIENCE, None
        if not self._pq.PQsendQuery(self._handle, sql):
            return None
        while True:
            while self._pq.PQisBusy(self._handle):
                if not self._is_ready(self._handle, end, for_writing=False):
                    self._pq.PQclear(last)
                    return None
                self._pq.PQconsumeInput(self._handle)
            result = self._pq.PQgetResult(self._handle)
            if result is None:
                return last
            self._pq.PQclear(last)
            last = result


class CommitProbe:
    """Runs until stop(). `conninfo` may name several hosts; of several conninfos the next is tried
    after each failure. The table is made by prepare()."""

    TABLE = "public.acknowledged"

    def __init__(self, *conninfos, connection=Connection):
        self._conninfos = list(conninfos)
        self._connection = connection
        self.acknowledged = []   # numbers
        self.times = []          # when each was
        self.errors = []         # (when, text)
        self._next = 1
        self._end = threading.Event()
        self._thread = None

    def _connect(self):
        """A session by the conninfo that is the turn; after a failure it is the next one's."""
        connection = self._connection(self._conninfos[0])
        if not connection.is_open:
            self._turn()
        return connection

    def _turn(self):
        self._conninfos.append(self._conninfos.pop(0))

    def _connect_somewhere(self):
        for _ in self._conninfos:
            connection = self._connect()
            if connection.is_open:
                break
        return connection

    def prepare(self):
        connection = self._connect_somewhere()
        try:
            made = connection.is_open and connection.execute(
                f"DROP TABLE IF EXISTS {self.TABLE}; CREATE TABLE {self.TABLE} (id bigint)")
            if made is None or made is False:
                raise AssertionError(f"the probe's table cannot be made: {connection.error}")
        finally:
            connection.close()
        return self

    def start(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _run(self):
        connection = None
        while not self._end.is_set():
            if connection is None:
                connection = self._connect()
                if not connection.is_open:
                    self.errors.append((time.monotonic(), connection.error))
                    connection.close()
                    connection = None
                    time.sleep(0.002)
                    continue
            number, self._next = self._next, self._next + 1
            if connection.execute(f"INSERT INTO {self.TABLE} VALUES ({number})") is not None:
                self.times.append(time.monotonic())
                self.acknowledged.append(number)
            else:
                self.errors.append((time.monotonic(), connection.error))
                connection.close()
                connection = None
                self._turn()
        if connection:
            connection.close()

    def wait_for_more(self, count=50, timeout=60):
        """Until so many more commits are acknowledged; false if they are not."""
        target = len(self.acknowledged) + count
        end = time.monotonic() + timeout
        while len(self.acknowledged) < target and time.monotonic() < end:
            time.sleep(0.002)
        return len(self.acknowledged) >= target

    def longest_gap(self, since=0.0):
        """The longest time without an acknowledgement, in seconds."""
        times = [t for t in self.times if t >= since]
        return max((b - a for a, b in zip(times, times[1:])), default=0.0)

    def stop(self):
        self._end.set()
        self._thread.join(30)
        return self

    def lost(self, conninfo=None):
        """The acknowledged numbers that are not there."""
        connection = Connection(conninfo) if conninfo else self._connect_somewhere()
        try:
            rows = connection.execute(f"SELECT id FROM {self.TABLE}") if connection.is_open else None
            if rows is None:
                raise AssertionError(f"the probe's table cannot be read: {connection.error}")
            there = {int(each) for each in rows}
        finally:
            connection.close()
        return sorted(set(self.acknowledged) - there)
