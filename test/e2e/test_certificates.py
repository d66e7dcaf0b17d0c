"""Who is who: what a user checks with ca.pem, what the key of a customer's server is good for, and
homes whose certificates are of another authority."""

import json
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

from support import Case, howdah_client, started_home, wait_until
from howdah_client import DOMAIN, process

HOME = None
NAME = "orders"


def setUpModule():
    global HOME
    HOME = started_home()
    try:
        HOME.create_server(NAME)
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


def pki(name):
    return os.path.join(HOME.dir, "howdahd", "pki", name)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def server_pem():
    """Certificate and key of the server: what its operating system user can read."""
    return os.path.join(os.path.dirname(HOME.backend(NAME)["data"]), "config", "server.pem")


def issuer():
    """The common name of who has issued the certificate that the server shows now."""
    with HOME.connect() as plain:
        plain.sendall(howdah_client.SSL_REQUEST)
        if plain.recv(1) != b"S":
            return None
        context = ssl.create_default_context(cafile=HOME.endpoints["ca"])
        try:
            with context.wrap_socket(plain, server_hostname=f"{NAME}.{DOMAIN}") as secure:
                return dict(pair[0] for pair in secure.getpeercert()["issuer"])["commonName"]
        except ssl.SSLError:
            return None


class Impostor:
    """Serves TLS with a certificate and key, and notes how far its clients trust it."""

    def __init__(self, pem, port=0):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        self.refused = 0
        self.heard = b""
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            plain.settimeout(10)
            try:
                with self.context.wrap_socket(plain, server_side=True) as secure:
                    heard = secure.recv(65536)
                    self.heard += heard
                    if not heard:
                        self.refused += 1
            except OSError:
                self.refused += 1
            finally:
                plain.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(15)


class WhatUsersCheck(Case):
    def test_the_file_of_users_holds_both_authorities(self):
        self.assertEqual(read(HOME.endpoints["ca"]), read(pki("ca.pem")) + read(pki("servers.pem")))

    def test_a_server_is_known_by_its_name(self):
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")
        self.assertEqual(HOME.psql(NAME, "select 1", port=HOME.own_port(NAME), extra="sslsni=0"),
                         "1")
        self.assertEqual(issuer(), "Howdah servers CA")

    def test_an_address_proves_nothing_and_is_refused(self):
        where = {"host": "127.0.0.1", "port": HOME.own_port(NAME)}
        refused = HOME.psql(NAME, "select 1", check=False, **where)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("127.0.0.1", refused.stderr)
        self.assertEqual(HOME.psql(NAME, "select 1", sslmode="verify-ca", **where), "1")

    def test_a_servers_certificate_is_for_servers_and_has_no_address(self):
        text = subprocess.run(["openssl", "x509", "-noout", "-ext",
                               "subjectAltName,extendedKeyUsage", "-in", server_pem()],
                              capture_output=True, check=True, text=True).stdout
        self.assertIn("TLS Web Server Authentication", text)
        self.assertNotIn("TLS Web Client Authentication", text)
        self.assertIn(f"DNS:{NAME}.{DOMAIN}", text)
        self.assertNotIn("IP Address", text)
        self.assertNotIn("DNS:howdahd", text)


class TheKeyOfAServer(Case):
    def test_it_does_not_pass_for_the_api(self):
        with Impostor(server_pem()) as impostor:
            for authorities in (HOME.endpoints["ca"], pki("ca.pem")):
                context = ssl.create_default_context(cafile=authorities)
                with self.subTest(authorities), self.assertRaises(ssl.SSLCertVerificationError):
                    with socket.create_connection(("127.0.0.1", impostor.port), 10) as plain:
                        context.wrap_socket(plain, server_hostname="127.0.0.1")
            self.assertEqual(impostor.heard, b"")

    def test_the_command_line_tells_it_no_secret(self):
        folder = os.path.join(HOME.folder, "misled")
        os.makedirs(folder, exist_ok=True)
        changed = os.path.join(folder, "credentials.json")
        with Impostor(server_pem()) as impostor:
            url = f"https://127.0.0.1:{impostor.port}"
            with open(changed, "w", encoding="utf-8") as file:
                json.dump({**HOME.credentials, "api_url": url, "authority": url}, file)
            os.chmod(changed, 0o600)
            result = subprocess.run([howdah_client.binary("howdah"), "login", "--credentials",
                                     changed], capture_output=True, text=True, timeout=60,
                                    check=False, stdin=subprocess.DEVNULL,
                                    env={"HOME": folder, "HOWDAH_CONFIG_DIR": folder,
                                         "LANG": "C.UTF-8"})
            self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
            wait_until("it has tried", lambda: impostor.refused > 0, 20)
            self.assertEqual(impostor.heard, b"")

    def test_the_agent_takes_no_orders_from_it(self):
        agent = HOME.one("howdah-agent")
        pem = server_pem()
        port = json.loads(read(os.path.join(HOME.dir, "howdahd", "ports.json")))["agent_link"]
        HOME.kill("howdahd")
        try:
            with Impostor(pem, port) as impostor:
                wait_until("the agent has tried again and again", lambda: impostor.refused >= 5, 60)
                self.assertEqual(impostor.heard, b"")
        finally:
            HOME.start()
        self.assertEqual(HOME.one("howdah-agent"), agent)
        HOME.set_parameter(NAME, "work_mem", "7002")  # it listens to howdahd again
        self.assertEqual(HOME.psql(NAME, "show work_mem"), "7002kB")


class TheMasterKey(Case):
    """What seals the secrets of the store is never replaced beside a store that is in use."""

    def test_a_lost_one_is_told_and_not_made_anew(self):
        with tempfile.TemporaryDirectory(prefix="howdah-e2e-") as folder:
            home = os.path.join(folder, "home")
            key = os.path.join(home, "howdahd", "master.key")
            command = [os.path.join(howdah_client.bin_dir(), "howdahd"), "--home", home]

            def lives():
                """Whether it publishes where it answers."""
                published = os.path.join(home, "run", "endpoints.json")
                if os.path.exists(published):
                    os.remove(published)
                with subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL) as started:
                    try:
                        wait_until("endpoints are published",
                                   lambda: os.path.exists(published), 30)
                        return True
                    finally:
                        started.terminate()

            self.assertTrue(lives())
            before = read(key)
            os.rename(key, key + ".lost")
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("master key", done.stdout + done.stderr)
            self.assertFalse(os.path.exists(key))
            os.rename(key + ".lost", key)
            self.assertTrue(lives())
            self.assertEqual(read(key), before)


class OtherAuthorities(Case):
    def setUp(self):
        self.backend = HOME.backend(NAME)
        self.agent = HOME.one("howdah-agent")

    def same_postmaster(self):
        now = process(self.backend["pid"])
        self.assertTrue(now is not None and now.start == self.backend["start"],
                        "the postmaster is another one")

    def another_agent(self):
        wait_until("another agent runs, alone",
                   lambda: len(now := HOME.pids("howdah-agent")) == 1 and now[0] != self.agent, 30)

    def test_a_home_without_an_authority_for_servers_gets_one_and_its_servers_certificates(self):
        pem = server_pem()
        old = read(pem)
        control_plane = read(pki("ca.pem"))
        HOME.kill("howdahd")
        for name in ("servers.pem", "servers.key.sealed"):
            os.remove(pki(name))
        with open(HOME.endpoints["ca"], "w", encoding="utf-8") as file:
            file.write(control_plane)
        HOME.start()
        self.assertEqual(read(pki("ca.pem")), control_plane)
        self.assertEqual(read(HOME.endpoints["ca"]), control_plane + read(pki("servers.pem")))
        wait_until("the server shows its new certificate", lambda: issuer() == "Howdah servers CA",
                   30)
        self.assertNotEqual(read(pem), old)
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")
        self.same_postmaster()
        self.another_agent()  # one of that time does not ask for howdahd's name
        self.assertEqual(HOME.get(HOME.server_path(NAME)).json["properties"]["state"], "Ready")

    def test_a_control_plane_with_a_new_authority_still_has_its_agent(self):
        HOME.kill("howdahd")
        for name in ("ca.pem", "ca.key.sealed"):
            os.remove(pki(name))
        HOME.start()  # whose tests of the API use the new ca.pem
        HOME.set_parameter(NAME, "work_mem", "7003")
        self.assertEqual(HOME.psql(NAME, "show work_mem"), "7003kB")
        self.same_postmaster()
        self.another_agent()  # with a new certificate


if __name__ == "__main__":
    unittest.main(verbosity=2)
