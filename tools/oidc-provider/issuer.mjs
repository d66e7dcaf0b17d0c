// A real issuer of tokens for test/e2e/test_foreign_issuer.py: the package oidc-provider, as it is.
// It reads its settings from standard input (one line of JSON), and prints the port when it listens.
//
//   issuer    what it calls itself; "PORT" in it becomes its port
//   port      0: any free one
//   key, cert PEM of its HTTPS
//   jwks      its private keys
//   clients   as oidc-provider takes them
//   resources {"indicator": {"audience": ..., "alg": ...}}: what access tokens may be for

import { createServer } from "node:https";
import { createInterface } from "node:readline";

import Provider, { errors } from "oidc-provider";

const line = await new Promise((resolve) =>
    createInterface({ input: process.stdin }).once("line", resolve));
const settings = JSON.parse(line);

let callback = (request, response) => response.writeHead(503).end();
const server = createServer({ key: settings.key, cert: settings.cert },
                            (request, response) => callback(request, response));
server.listen(settings.port, "127.0.0.1", () => {
    const { port } = server.address();
    const provider = new Provider(settings.issuer.replace("PORT", port), {
        clients: settings.clients,
        jwks: settings.jwks,
        cookies: { keys: ["a key for the tests"] },
        enabledJWA: { idTokenSigningAlgValues: ["RS256", "PS256", "ES256"] },
        // Whoever gives a name is that one.
        findAccount: (context, id) => ({
            accountId: id,
            claims: () => ({ sub: id, preferred_username: `${id}@example.org` }),
        }),
        extraTokenClaims: (context, token) =>
            token.accountId ? { preferred_username: `${token.accountId}@example.org` } : undefined,
        features: {
            clientCredentials: { enabled: true },
            devInteractions: { enabled: true },
            resourceIndicators: {
                enabled: true,
                defaultResource: () => Object.keys(settings.resources)[0],
                useGrantedResource: () => true,
                getResourceServerInfo: (context, indicator) => {
                    const resource = settings.resources[indicator];
                    if (!resource) throw new errors.InvalidTarget();
                    return {
                        scope: "manage",
                        audience: resource.audience,
                        accessTokenFormat: "jwt",
                        accessTokenTTL: 600,
                        jwt: { sign: { alg: resource.alg } },
                    };
                },
            },
        },
    });
    callback = provider.callback();
    console.log(port);
});
