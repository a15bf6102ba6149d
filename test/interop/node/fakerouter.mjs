// Drives the fake router by node-routeros, a client that is not ours: login, print with a query, add, set, remove, listen, errors.
import { createRequire } from "node:module";
import assert from "node:assert/strict";

const [port, knowsEmpty] = [Number(process.argv[2]), process.argv[3] === "empty"];
const { RouterOSAPI } = createRequire(process.argv[4] + "/")("node-routeros");
const login = (password) => new RouterOSAPI({ host: "127.0.0.1", port, user: "admin", password, timeout: 5 });

async function refused(what, want) {
  await assert.rejects(what, (e) => String(e.message).includes(want) || assert.fail(`want ${want} in ${e.message}`));
}

// What the client throws in the reader of its socket cannot be caught where it was called. Anything but that is the end.
const thrown = [];
process.on("uncaughtException", (e) => {
  if (e.name !== "RosException") {
    console.error(e);
    process.exit(1);
  }
  thrown.push(String(e.message));
});

await refused(login("falsch").connect(), "Username or password is invalid");
const api = login("geheim");
await api.connect();
assert.deepEqual((await api.write("/system/identity/print")).map((r) => r.name), ["MikroTik"]);

const changes = [];
const stream = api.stream("/ppp/secret/listen", (error, row) => changes.push(error ?? row));
const seen = async (what, is) => {
  const until = Date.now() + 5000;
  while (!changes.some(is)) {
    assert(Date.now() < until, `not heard by listen: ${what}; heard: ${JSON.stringify(changes)}`);
    await new Promise((r) => setTimeout(r, 5));
  }
};

const add = async (...words) => (await api.write("/ppp/secret/add", words))[0].ret;
const first = await add("=name=alice", "=password=p=w", "=service=pppoe", "=remote-address=10.0.0.9", "=limit-bytes-in=1099511627776");
const second = await add("=name=bob", "=service=l2tp", "=profile=default-encryption");
assert.match(first, /^\*[0-9A-F]+$/);
await seen("add", (r) => r.name === "alice" && r[".id"] === first);
assert.deepEqual(await api.write("/ppp/secret/print", ["?service=pppoe", "=.proplist=name,profile"]), [{ name: "alice", profile: "default" }]);
const either = await api.write("/ppp/secret/print", ["?service=pppoe", "?service=l2tp", "?#|", "?name=alice", "?#!", "=.proplist=name"]);
assert.deepEqual(either, [{ name: "bob" }]);

assert.deepEqual(await api.write("/ppp/secret/set", [`=.id=${first}`, "=disabled=yes", "=comment=two words"]), []);
await seen("set", (r) => r.name === "alice" && r.disabled === "true");
const [row] = await api.write("/ppp/secret/print", [`?.id=${first}`]);
assert.deepEqual([row.disabled, row.comment, row.password, row["limit-bytes-in"]], ["true", "two words", "p=w", "1099511627776"]);

await refused(add("=name=alice", "=service=pppoe"), "failure: secret with the same name already exists");
await refused(add("=name=x", "=profile=nope"), "input does not match any value of profile");
await refused(add("=name=x", "=foo=1"), "unknown parameter foo");
await refused(add("=password=x"), "missing value(s) of argument(s) name");
await refused(api.write("/no/such/print"), "no such command prefix");

// Two commands at once, each under its own tag.
const both = await Promise.all([api.write("/interface/print", ["=.proplist=name"]), api.write("/ppp/profile/print", ["=.proplist=name"])]);
assert.deepEqual([both[0].length, both[1].map((r) => r.name)], [5, ["default", "default-encryption"]]);

await api.write("/ppp/secret/remove", [`=.id=${first},${second}`]);
await seen("remove", (r) => r[".id"] === second && r[".dead"] === "yes");
await stream.stop();
await refused(api.write("/ppp/secret/remove", [`=.id=${first}`]), "no such item");
assert.deepEqual(thrown, []);
if (knowsEmpty) {
  // RouterOS 7.18 and later say !empty. This client (1.6.9) does not know the word and breaks on it, as it does on routers.
  const nothing = api.write("/ppp/secret/print");
  nothing.catch(() => {});
  const until = Date.now() + 5000;
  while (thrown.length === 0 && Date.now() < until) await new Promise((r) => setTimeout(r, 5));
  assert.match(thrown.join(), /!empty/);
} else {
  assert.deepEqual(await api.write("/ppp/secret/print"), []);
}
await api.close();
process.exit(0);
