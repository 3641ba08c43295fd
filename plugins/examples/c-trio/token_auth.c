// Users by token: a JSON Web Token signed with HS256 says who they are, for how long, and which
// channels they may use.

#include <stdlib.h>

#include "bindings/trio.h"
#include "json.h"
#include "sha256.h"

// Signs tokens where the server's configuration has no `secret`. Anyone knows it.
#define DEVELOPMENT_SECRET "tidegate-development-secret"
#define MALFORMED "The token is malformed."

// A setting; false where it is not set.
static bool setting(const char *key, trio_string_t *value) {
  trio_string_t name;
  trio_string_set(&name, key);
  return tidegate_plugin_config_get(&name, value);
}

static void say(tidegate_plugin_log_level_t level, const char *words) {
  trio_string_t line;
  trio_string_set(&line, words);
  tidegate_plugin_log_write(level, &line);
}

// NULL, or why there is none.
static const char *secret(trio_string_t *secret) {
  static bool warned;
  if (!setting("secret", secret)) {
    if (!warned) {
      say(TIDEGATE_PLUGIN_LOG_LEVEL_WARN,
          "The setting `secret` is missing: tokens are checked with the development secret, which anyone knows.");
    }
    warned = true;
    trio_string_dup(secret, DEVELOPMENT_SECRET);
  }
  if (secret->len) return NULL;
  say(TIDEGATE_PLUGIN_LOG_LEVEL_ERROR, "The setting `secret` is empty: no token is accepted.");
  return "The server cannot check tokens.";
}

// Base64 for URLs without padding (RFC 4648, 5).
static bool base64url(slice letters, buffer *bytes) {
  uint32_t gathered = 0;
  int bits = 0;
  for (size_t i = 0; i < letters.len; i++) {
    uint8_t letter = letters.at[i], six;
    if (letter >= 'A' && letter <= 'Z') six = letter - 'A';
    else if (letter >= 'a' && letter <= 'z') six = letter - 'a' + 26;
    else if (letter >= '0' && letter <= '9') six = letter - '0' + 52;
    else if (letter == '-' || letter == '_') six = letter == '-' ? 62 : 63;
    else return false;
    gathered = gathered << 6 | six;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      uint8_t byte = (uint8_t)(gathered >> bits);
      append(bytes, (slice){&byte, 1});
    }
  }
  // A letter too many, or bits that no byte has.
  return bits != 6 && (gathered & ((1u << bits) - 1)) == 0;
}

// The JSON in a part of the token, which lies in `bytes`.
static bool object(slice part, buffer *bytes, slice *value) {
  return base64url(part, bytes) && json((slice){bytes->at, bytes->len}, value) && json_is(*value, '{');
}

static bool is_null(slice value) { return same(value, text("null")); }

static void claim(trio_list_tuple2_string_string_t *claims, slice pattern) {
  claims->ptr = realloc(claims->ptr, (claims->len + 1) * sizeof *claims->ptr);
  if (!claims->ptr) abort();
  trio_tuple2_string_string_t *new = &claims->ptr[claims->len++];
  trio_string_dup(&new->f0, "channel");
  trio_string_dup_n(&new->f1, (const char *)pattern.at, pattern.len);
}

// NULL, or what is wrong with the claims of a token that is signed well.
static const char *names(slice claims, exports_tidegate_plugin_auth_identity_t *who) {
  slice value, item;
  buffer words = {0};
  double end = 0;
  const char *wrong = NULL;
  if (json_member(claims, "exp", &value) && !is_null(value)) {
    if (!json_number(value, &end)) return MALFORMED;
    // A plugin has no clock: the server ends the identity then, at once if it is past.
    double ms = end * 1000;
    who->expires_at_ms.is_some = true;
    who->expires_at_ms.val = ms < 0 ? 0 : ms >= 18446744073709551615.0 ? UINT64_MAX : (uint64_t)ms;
  }
  if (json_member(claims, "channels", &value) && !is_null(value)) {
    if (!json_is(value, '[')) return MALFORMED;
    while (!wrong && json_item(&value, &item)) {
      words.len = 0;
      if (json_string(item, &words)) claim(&who->claims, (slice){words.at, words.len});
      else wrong = MALFORMED;
    }
    // An empty list allows nothing, and so does a pattern that no channel's name matches.
    if (!who->claims.len) claim(&who->claims, text(""));
  }
  words.len = 0;
  if (!wrong && json_member(claims, "sub", &value) && !is_null(value) && !json_string(value, &words)) wrong = MALFORMED;
  if (!wrong && !words.len) wrong = "The token has no 'sub'.";
  if (!wrong) trio_string_dup_n(&who->user, (const char *)words.at, words.len);
  free(words.at);
  return wrong;
}

// NULL, or what is wrong with a token (RFC 7519, as much as is needed here).
static const char *verify(slice token, slice secret, exports_tidegate_plugin_auth_identity_t *who) {
  slice parts[3];
  for (int i = 0; i < 3; i++) {
    const uint8_t *dot = memchr(token.at, '.', token.len);
    if (!dot != (i == 2)) return MALFORMED;
    parts[i] = (slice){token.at, dot ? (size_t)(dot - token.at) : token.len};
    token.at += parts[i].len + 1, token.len -= dot ? parts[i].len + 1 : 0;
  }
  slice whole = {parts[0].at, parts[0].len + 1 + parts[1].len};
  slice header, name, claims;
  buffer bytes[3] = {0}, algorithm = {0};
  const char *wrong = MALFORMED;
  if (object(parts[0], &bytes[0], &header) && json_member(header, "alg", &name) && json_string(name, &algorithm)) {
    if (!same((slice){algorithm.at, algorithm.len}, text("HS256"))) {
      wrong = "The token's algorithm must be HS256.";
    } else if (base64url(parts[2], &bytes[2])) {
      uint8_t made[DIGEST];
      hmac_sha256(secret, whole, made);
      // In constant time.
      uint8_t differs = bytes[2].len != DIGEST;
      for (int i = 0; bytes[2].len == DIGEST && i < DIGEST; i++) differs |= made[i] ^ bytes[2].at[i];
      if (differs) wrong = "The token's signature does not match.";
      else if (object(parts[1], &bytes[1], &claims)) wrong = names(claims, who);
    }
  }
  for (int i = 0; i < 3; i++) free(bytes[i].at);
  free(algorithm.at);
  return wrong;
}

bool exports_tidegate_plugin_auth_authenticate(
    exports_tidegate_plugin_auth_handshake_t *request, exports_tidegate_plugin_auth_identity_t *who,
    exports_tidegate_plugin_auth_refusal_t *refusal) {
  const char *wrong = NULL;
  trio_string_t value = {0};
  memset(who, 0, sizeof *who);
  if (request->token.is_some) {
    wrong = secret(&value);
    if (!wrong) wrong = verify(SLICE(request->token.val), SLICE(value), who);
  } else if (setting("anonymous", &value) && same(SLICE(value), text("false"))) {
    wrong = "A token is required.";
  }
  trio_string_free(&value);
  exports_tidegate_plugin_auth_handshake_free(request);
  if (wrong) {
    exports_tidegate_plugin_auth_identity_free(who);
    trio_string_dup(&refusal->reason, wrong);
  }
  return !wrong;
}

// `*` at the end of a pattern stands for the rest of the name.
static bool covers(slice pattern, slice channel) {
  if (!pattern.len || pattern.at[pattern.len - 1] != '*') return same(channel, pattern);
  return starts(channel, (slice){pattern.at, pattern.len - 1});
}

// Without any pattern all channels are allowed, but for those of other users.
void exports_tidegate_plugin_auth_authorize(
    exports_tidegate_plugin_auth_identity_t *who, exports_tidegate_plugin_auth_action_t action, trio_string_t *channel,
    exports_tidegate_plugin_auth_captures_t *captures, exports_tidegate_plugin_auth_permission_t *permission) {
  (void)action;
  bool mine = true, limited = false, covered = false;
  for (size_t i = 0; i < captures->len; i++) {
    if (same(SLICE(captures->ptr[i].f0), text("user"))) mine = same(SLICE(captures->ptr[i].f1), SLICE(who->user));
  }
  for (size_t i = 0; i < who->claims.len; i++) {
    if (!same(SLICE(who->claims.ptr[i].f0), text("channel"))) continue;
    limited = true;
    covered = covered || covers(SLICE(who->claims.ptr[i].f1), SLICE(*channel));
  }
  memset(permission, 0, sizeof *permission);
  permission->tag = mine && (covered || !limited) ? EXPORTS_TIDEGATE_PLUGIN_AUTH_PERMISSION_GRANTED
                                                  : EXPORTS_TIDEGATE_PLUGIN_AUTH_PERMISSION_REFUSED;
  exports_tidegate_plugin_auth_identity_free(who);
  trio_string_free(channel);
  exports_tidegate_plugin_auth_captures_free(captures);
}
