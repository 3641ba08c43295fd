// Users by token: a JSON Web Token signed with HS256 says who they are, for how long, and which
// channels they may use.

import type * as contract from "tidegate:plugin/auth@0.1.0";
import * as config from "tidegate:plugin/config@0.1.0";
import * as log from "tidegate:plugin/log@0.1.0";

import { fromBase64Url, parse, utf8 } from "./bytes.js";
import { hmac } from "./sha256.js";

/** Signs tokens where the server's configuration has no `secret`. Anyone knows it. */
const DEVELOPMENT_SECRET = "tidegate-development-secret";

function refuse(reason: string): never {
  throw { reason } satisfies contract.Refusal;
}
const malformed = () => refuse("The token is malformed.");

function authenticate({ token }: contract.Handshake): contract.Identity {
  if (token == null) {
    if (config.get("anonymous") === "false") refuse("A token is required.");
    return { user: "", claims: [], expiresAtMs: null };
  }
  const { sub, exp, channels } = verify(token, signer());
  // An empty list allows nothing, and so does a pattern that no channel's name matches.
  const patterns = channels?.length === 0 ? [""] : (channels ?? []);
  return {
    user: sub,
    claims: patterns.map((pattern) => ["channel", pattern]),
    // A plugin has no clock: the server ends the identity then, at once if it is past.
    // A u64 is a number in QuickJS, exact up to 2^53.
    expiresAtMs: exp == null ? null : Math.min(Math.max(Math.trunc(exp * 1000), 0), Number.MAX_SAFE_INTEGER),
  };
}

/** Without any pattern all channels are allowed, but for those of other users. */
function authorize(
  who: contract.Identity,
  _action: contract.Action,
  channel: string,
  captures: contract.Captures,
): contract.Permission {
  const owner = captures.find(([key]) => key === "user");
  const patterns = who.claims.filter(([name]) => name === "channel");
  const mine = !owner || owner[1] === who.user;
  const allowed = patterns.length === 0 || patterns.some(([, pattern]) => covers(pattern, channel));
  return mine && allowed ? { tag: "granted" } : { tag: "refused", val: "" };
}

/** `*` at the end of a pattern stands for the rest of the name. */
const covers = (pattern: string, channel: string) =>
  pattern.endsWith("*") ? channel.startsWith(pattern.slice(0, -1)) : channel === pattern;

/** The secret that was last asked for, and what signs with it. */
const kept: { secret?: string | null; sign?: Sign } = {};

type Sign = (message: Uint8Array) => Uint8Array;

function signer(): Sign {
  const secret = config.get("secret");
  if (secret === "") {
    log.write("error", "The setting `secret` is empty: no token is accepted.");
    refuse("The server cannot check tokens.");
  }
  if (!kept.sign || kept.secret !== secret) {
    if (secret == null) {
      const words = "tokens are checked with the development secret, which anyone knows.";
      log.write("warn", `The setting \`secret\` is missing: ${words}`);
    }
    Object.assign(kept, { secret, sign: hmac(utf8(secret ?? DEVELOPMENT_SECRET)) });
  }
  return kept.sign!;
}

interface Claims {
  sub: string;
  exp?: number | null;
  channels?: string[] | null;
}

/** The claims of a signed token: RFC 7519, as much as is needed here. */
function verify(token: string, sign: Sign): Claims {
  const parts = token.split(".");
  if (parts.length !== 3) malformed();
  const [header, payload, signature] = parts;
  if (object(header).alg !== "HS256") refuse("The token's algorithm must be HS256.");
  const given = fromBase64Url(signature) ?? malformed();
  const made = sign(utf8(`${header}.${payload}`));
  // In constant time.
  let differs = given.length ^ made.length;
  for (let at = 0; at < made.length; at++) differs |= made[at] ^ given[at];
  if (differs) refuse("The token's signature does not match.");

  const claims = object(payload);
  const { sub, exp, channels } = claims;
  const names = channels == null || (Array.isArray(channels) && channels.every((name) => typeof name === "string"));
  if (!names || (exp != null && typeof exp !== "number")) malformed();
  if (sub != null && typeof sub !== "string") malformed();
  if (!sub) refuse("The token has no 'sub'.");
  return { sub, exp, channels };
}

function object(part: string): any {
  const value = parse(fromBase64Url(part) ?? malformed());
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : malformed();
}

export const auth: typeof contract = { authenticate, authorize };
