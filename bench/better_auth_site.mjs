// A baseline: better-auth on Node's own HTTPS server with better-sqlite3; /me answers the signed-in person as JSON.
//
// `node better_auth_site.mjs` makes schema and person and prints the session's cookie; with PORT CERTIFICATE KEY PROCESSES
// it serves. It stands in the folder where its packages are installed (bench/sessions.py copies it there).

import cluster from "node:cluster";
import { readFileSync } from "node:fs";
import https from "node:https";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { fromNodeHeaders } from "better-auth/node";
import Database from "better-sqlite3";

const database = new Database(`${process.env.BENCH_FOLDER}/better-auth.db`);
database.pragma("journal_mode = WAL");
const auth = betterAuth({
  database,
  baseURL: process.env.BENCH_URL,
  secret: "only for the benchmark, of some length 5",
  emailAndPassword: { enabled: true },
  telemetry: { enabled: false },
});

async function prepare() {
  const { runMigrations } = await getMigrations(auth.options);
  await runMigrations();
  const answer = await auth.api.signUpEmail({
    body: { name: "Ada Example", email: "ada@example.org", password: "correct horse battery staple 7" },
    asResponse: true,
  });
  const cookies = answer.headers.getSetCookie().map((line) => line.split(";")[0]);
  console.log(cookies.find((pair) => pair.includes("session_token")));
}

async function me(request, response) {
  const session = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) });
  const body = JSON.stringify(session ? session.user : { error: "not signed in" });
  response.writeHead(session && request.url === "/me" ? 200 : 401, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
}

const [port, certificate, key, processes] = process.argv.slice(2);
if (port === undefined) {
  await prepare();
} else if (cluster.isPrimary) {
  for (let number = 0; number < Number(processes); number += 1) cluster.fork();
  process.on("SIGTERM", () => {
    for (const worker of Object.values(cluster.workers)) worker.kill("SIGKILL");
    process.exit(0);
  });
} else {
  const options = { cert: readFileSync(certificate), key: readFileSync(key), minVersion: "TLSv1.3" };
  https.createServer(options, me).listen(Number(port), "127.0.0.1");
}
