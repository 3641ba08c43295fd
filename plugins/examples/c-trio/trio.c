// What the component says of itself. Its other exports are each in a file of their own.

#include <stdlib.h>

#include "bindings/trio.h"

void exports_tidegate_plugin_info_describe(exports_tidegate_plugin_info_about_t *about) {
  trio_string_dup(&about->version, "1.0.0");
  trio_string_dup(&about->summary, "A chat, users by token and a filter by level, in C.");
  about->channels.len = 2;
  about->channels.ptr = calloc(2, sizeof *about->channels.ptr);
  if (!about->channels.ptr) abort();
  trio_string_dup(&about->channels.ptr[0], "chat:{room}");
  trio_string_dup(&about->channels.ptr[1], "chat:*");
}
