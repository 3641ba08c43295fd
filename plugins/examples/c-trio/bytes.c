#include "bytes.h"

#include <stdlib.h>

void append(buffer *to, slice more) {
  if (to->room - to->len < more.len) {
    size_t room = (to->len + more.len) * 2;
    uint8_t *at = realloc(to->at, room);
    if (!at) abort();
    to->at = at;
    to->room = room;
  }
  if (more.len) memcpy(to->at + to->len, more.at, more.len);
  to->len += more.len;
}

void append_number(buffer *to, unsigned number) {
  if (number >= 10) append_number(to, number / 10);
  uint8_t digit = '0' + number % 10;
  append(to, (slice){&digit, 1});
}
