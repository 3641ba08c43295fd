// A chat: takes {"text": "…"}, checks it, and delivers it with the sender's name.

#include <stdlib.h>

#include "bindings/trio.h"
#include "json.h"

// In characters, once the text is trimmed.
#define LONGEST 500

struct exports_tidegate_plugin_channel_handler_channel_t {
  trio_string_t room;
};

typedef exports_tidegate_plugin_channel_handler_channel_t channel_t;
typedef exports_tidegate_plugin_channel_handler_verdict_t verdict_t;

static trio_list_u8_t line(slice said, slice from) {
  buffer line = {0};
  append_text(&line, "{\"text\":");
  json_append(&line, said);
  append_text(&line, ",\"from\":");
  json_append(&line, from);
  append_text(&line, "}");
  return (trio_list_u8_t){line.at, line.len};
}

static void deny(verdict_t *verdict, uint16_t code, const char *reason) {
  verdict->tag = EXPORTS_TIDEGATE_PLUGIN_CHANNEL_HANDLER_VERDICT_DENY;
  verdict->val.deny.code = code;
  trio_string_dup(&verdict->val.deny.reason, reason);
}

// The bytes of a blank (Unicode's White_Space) at the start of some UTF-8; 0 where there is none.
static size_t blank(const uint8_t *at, size_t len) {
  static const char *const others[] = {
      "\xc2\x85", "\u00a0", "\u1680", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
  if (len && (at[0] == ' ' || (at[0] >= '\t' && at[0] <= '\r'))) return 1;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    if (starts((slice){at, len}, text(others[i]))) return strlen(others[i]);
  }
  // U+2000 to U+200A.
  return len >= 3 && at[0] == 0xe2 && at[1] == 0x80 && at[2] >= 0x80 && at[2] <= 0x8a ? 3 : 0;
}

static slice trim(slice said) {
  size_t bytes;
  while ((bytes = blank(said.at, said.len))) said.at += bytes, said.len -= bytes;
  for (bytes = 1; bytes <= 3 && bytes <= said.len;) {
    bool is = blank(said.at + said.len - bytes, bytes) == bytes;
    if (is) said.len -= bytes;
    bytes = is ? 1 : bytes + 1;
  }
  return said;
}

static void check(slice payload, slice from, verdict_t *verdict) {
  slice value;
  buffer whole = {0};
  if (!json(payload, &value) || !json_member(value, "text", &value) || !json_string(value, &whole)) {
    deny(verdict, 3, "A message looks like {\"text\":\"hello\"}.");
  } else {
    slice said = trim((slice){whole.at, whole.len});
    unsigned length = 0;
    // The bytes that begin a character.
    for (size_t i = 0; i < said.len; i++) length += (said.at[i] & 0xc0) != 0x80;
    if (said.len == 0) {
      deny(verdict, 1, "Say something: the text is empty.");
    } else if (length > LONGEST) {
      buffer reason = {0};
      append_text(&reason, "The text has ");
      append_number(&reason, length);
      append_text(&reason, " characters; at most ");
      append_number(&reason, LONGEST);
      append(&reason, (slice){(const uint8_t *)" are allowed.", sizeof " are allowed."});
      deny(verdict, 2, (const char *)reason.at);
      free(reason.at);
    } else {
      verdict->tag = EXPORTS_TIDEGATE_PLUGIN_CHANNEL_HANDLER_VERDICT_REPLACE;
      verdict->val.replace = line(said, from);
    }
  }
  free(whole.at);
}

// What a function is handed is its own, to keep or to free.

bool exports_tidegate_plugin_channel_handler_static_channel_open(
    trio_string_t *name, exports_tidegate_plugin_channel_handler_captures_t *captures, trio_list_u8_t *snapshot,
    exports_tidegate_plugin_channel_handler_own_channel_t *opened, trio_string_t *error) {
  (void)error;
  channel_t *channel = calloc(1, sizeof *channel);
  if (!channel) abort();
  slice room = SLICE(*name);
  for (size_t i = 0; i < captures->len; i++) {
    if (same(SLICE(captures->ptr[i].f0), text("room"))) room = SLICE(captures->ptr[i].f1);
  }
  trio_string_dup_n(&channel->room, (const char *)room.at, room.len);
  *opened = exports_tidegate_plugin_channel_handler_channel_new(channel);
  trio_string_free(name);
  exports_tidegate_plugin_channel_handler_captures_free(captures);
  if (snapshot) trio_list_u8_free(snapshot);
  return true;
}

void exports_tidegate_plugin_channel_handler_channel_destructor(channel_t *channel) {
  trio_string_free(&channel->room);
  free(channel);
}

bool exports_tidegate_plugin_channel_handler_method_channel_save(channel_t *self, trio_list_u8_t *snapshot) {
  (void)self, (void)snapshot;
  return false;
}

bool exports_tidegate_plugin_channel_handler_method_channel_on_subscribe(
    channel_t *self, exports_tidegate_plugin_channel_handler_caller_t *who, trio_list_u8_t *params, bool respond,
    exports_tidegate_plugin_channel_handler_acceptance_t *accepted,
    exports_tidegate_plugin_channel_handler_denial_t *denied) {
  (void)denied;
  memset(accepted, 0, sizeof *accepted);
  if (respond) {
    buffer welcome = {0};
    append_text(&welcome, "Welcome to ");
    append(&welcome, SLICE(self->room));
    append_text(&welcome, ", ");
    append(&welcome, SLICE(who->user));
    append_text(&welcome, ".");
    accepted->response.is_some = true;
    accepted->response.val.kind = TIDEGATE_PLUGIN_TYPES_PAYLOAD_KIND_JSON;
    accepted->response.val.payload = line((slice){welcome.at, welcome.len}, text("server"));
    free(welcome.at);
  }
  exports_tidegate_plugin_channel_handler_caller_free(who);
  if (params) trio_list_u8_free(params);
  return true;
}

void exports_tidegate_plugin_channel_handler_method_channel_on_publish(
    channel_t *self, exports_tidegate_plugin_channel_handler_message_t *message,
    exports_tidegate_plugin_channel_handler_outcome_t *outcome) {
  (void)self;
  memset(outcome, 0, sizeof *outcome);
  slice from = message->sender.is_some ? SLICE(message->sender.val.user) : text("server");
  bool is_json = message->kind == TIDEGATE_PLUGIN_TYPES_PAYLOAD_KIND_JSON;
  check(is_json ? SLICE(message->payload) : text(""), from, &outcome->verdict);
  exports_tidegate_plugin_channel_handler_message_free(message);
}

void exports_tidegate_plugin_channel_handler_method_channel_on_unsubscribe(
    channel_t *self, exports_tidegate_plugin_channel_handler_caller_t *who,
    exports_tidegate_plugin_channel_handler_departure_t why,
    exports_tidegate_plugin_channel_handler_list_effect_t *effects) {
  (void)self, (void)why;
  memset(effects, 0, sizeof *effects);
  exports_tidegate_plugin_channel_handler_caller_free(who);
}

void exports_tidegate_plugin_channel_handler_method_channel_on_timer(
    channel_t *self, uint32_t id, exports_tidegate_plugin_channel_handler_list_effect_t *effects) {
  (void)self, (void)id;
  memset(effects, 0, sizeof *effects);
}
