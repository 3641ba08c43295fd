// Refuses messages that are too long, and counts the others.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/plugin.h"

// Of a message, in bytes.
#define LONGEST 200

struct exports_tidegate_plugin_channel_handler_channel_t {
  uint64_t messages;
};

typedef exports_tidegate_plugin_channel_handler_channel_t channel_t;

// What a function is handed is its own, to keep or to free; what it gives is the server's.

static plugin_list_u8_t bytes(const char *text) {
  plugin_list_u8_t list = {NULL, strlen(text)};
  list.ptr = malloc(list.len);
  if (!list.ptr) abort();
  memcpy(list.ptr, text, list.len);
  return list;
}

static void decimal(uint64_t number, char text[21]) {
  char digits[20];
  size_t count = 0;
  do digits[count++] = '0' + number % 10;
  while (number /= 10);
  while (count) *text++ = digits[--count];
  *text = 0;
}

bool exports_tidegate_plugin_channel_handler_static_channel_open(
    plugin_string_t *name, exports_tidegate_plugin_channel_handler_captures_t *captures,
    plugin_list_u8_t *snapshot, exports_tidegate_plugin_channel_handler_own_channel_t *opened,
    plugin_string_t *error) {
  (void)error;
  channel_t *channel = calloc(1, sizeof *channel);
  if (!channel) abort();
  for (size_t i = 0; snapshot && i < snapshot->len; i++) {
    channel->messages = channel->messages * 10 + (snapshot->ptr[i] - '0');
  }
  *opened = exports_tidegate_plugin_channel_handler_channel_new(channel);
  plugin_string_free(name);
  exports_tidegate_plugin_channel_handler_captures_free(captures);
  if (snapshot) plugin_list_u8_free(snapshot);
  return true;
}

void exports_tidegate_plugin_channel_handler_channel_destructor(channel_t *channel) { free(channel); }

bool exports_tidegate_plugin_channel_handler_method_channel_save(channel_t *self, plugin_list_u8_t *snapshot) {
  char text[21];
  decimal(self->messages, text);
  *snapshot = bytes(text);
  return true;
}

bool exports_tidegate_plugin_channel_handler_method_channel_on_subscribe(
    channel_t *self, exports_tidegate_plugin_channel_handler_caller_t *who, plugin_list_u8_t *params,
    bool respond, exports_tidegate_plugin_channel_handler_acceptance_t *accepted,
    exports_tidegate_plugin_channel_handler_denial_t *denied) {
  (void)denied;
  memset(accepted, 0, sizeof *accepted);
  if (respond) {
    char number[21], text[40] = "{\"messages\":";
    decimal(self->messages, number);
    strcat(strcat(text, number), "}");
    accepted->response.is_some = true;
    accepted->response.val.kind = TIDEGATE_PLUGIN_TYPES_PAYLOAD_KIND_JSON;
    accepted->response.val.payload = bytes(text);
  }
  exports_tidegate_plugin_channel_handler_caller_free(who);
  if (params) plugin_list_u8_free(params);
  return true;
}

void exports_tidegate_plugin_channel_handler_method_channel_on_publish(
    channel_t *self, exports_tidegate_plugin_channel_handler_message_t *message,
    exports_tidegate_plugin_channel_handler_outcome_t *outcome) {
  memset(outcome, 0, sizeof *outcome);
  if (message->payload.len > LONGEST) {
    outcome->verdict.tag = EXPORTS_TIDEGATE_PLUGIN_CHANNEL_HANDLER_VERDICT_DENY;
    outcome->verdict.val.deny.code = 1;
    plugin_string_dup(&outcome->verdict.val.deny.reason, "A message has at most 200 bytes.");
  } else {
    outcome->verdict.tag = EXPORTS_TIDEGATE_PLUGIN_CHANNEL_HANDLER_VERDICT_PASS;
    self->messages++;
  }
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

void exports_tidegate_plugin_info_describe(exports_tidegate_plugin_info_about_t *about) {
  plugin_string_dup(&about->version, "0.1.0");
  plugin_string_dup(&about->summary, "Counts messages, and refuses long ones.");
  about->channels.len = 1;
  about->channels.ptr = calloc(1, sizeof *about->channels.ptr);
  if (!about->channels.ptr) abort();
  plugin_string_dup(&about->channels.ptr[0], "{{name}}:*");
}
