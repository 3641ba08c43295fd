// A filter for log lines: passes messages of a level or above.

#include <stdlib.h>

#include "bindings/trio.h"
#include "json.h"

static const struct {
  const char *name;
  int level;
} LEVELS[] = {{"debug", 0}, {"info", 1}, {"warn", 2}, {"warning", 2}, {"error", 3}, {"fatal", 4}};

// That a member names; -1 where it names none.
static int level(slice bytes, const char *member) {
  slice value;
  buffer name = {0};
  int found = -1;
  if (json(bytes, &value) && json_member(value, member, &value) && json_string(value, &name)) {
    for (size_t i = 0; i < sizeof LEVELS / sizeof *LEVELS; i++) {
      if (same((slice){name.at, name.len}, text(LEVELS[i].name))) found = LEVELS[i].level;
    }
  }
  free(name.at);
  return found;
}

// Filters with the same level are one: its number is their id.
bool exports_tidegate_plugin_filter_add(trio_list_u8_t *params, uint32_t *id, trio_string_t *error) {
  int least = level(SLICE(*params), "min");
  trio_list_u8_free(params);
  if (least < 0) {
    trio_string_dup(error, "`min` must be one of debug, info, warn, error, fatal.");
    return false;
  }
  *id = (uint32_t)least;
  return true;
}

void exports_tidegate_plugin_filter_remove(uint32_t id) { (void)id; }

// Bit m * ids + i, from the lowest of the first word: message m passes filter i.
void exports_tidegate_plugin_filter_evaluate(
    trio_list_u32_t *ids, exports_tidegate_plugin_filter_batch_t *messages, trio_list_u64_t *passed) {
  size_t bits = messages->kinds.len * ids->len;
  passed->len = (bits + 63) / 64;
  passed->ptr = calloc(passed->len ? passed->len : 1, sizeof *passed->ptr);
  if (!passed->ptr) abort();
  for (size_t m = 0, bit = 0; m < messages->kinds.len; m++) {
    uint32_t from = messages->ends.ptr[2 * m], to = messages->ends.ptr[2 * m + 1];
    bool is_json = messages->kinds.ptr[m] == TIDEGATE_PLUGIN_TYPES_PAYLOAD_KIND_JSON;
    int said = is_json ? level((slice){messages->data.ptr + from, to - from}, "level") : -1;
    for (size_t i = 0; i < ids->len; i++, bit++) {
      if (said >= (int)ids->ptr[i]) passed->ptr[bit / 64] |= (uint64_t)1 << bit % 64;
    }
  }
  trio_list_u32_free(ids);
  exports_tidegate_plugin_filter_batch_free(messages);
}
